"""How many threads are best, on an idle machine and on one whose cores are taken; paired.

    python benchmarks/threads.py                  # as the machine is
    python benchmarks/threads.py --busy 2         # with two processes that never rest

Each round speaks the same text with each number of threads, in processes of their own and in an
order that turns, so that what the machine does meanwhile meets all of them alike. `default` is what
`uslm` chooses itself. The result is the real-time factor of each, and its ratio to the best of the
round: 1.2 is the goal for `default`.

Why many threads are slow on busy cores is told by a control: the same number of threads that sleep
where they wait for each other (OMP_WAIT_POLICY=passive) instead of spinning. If spinning is what
costs, that is as fast as one thread; if it is the many short steps, sleeping does not help.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

TEXT = "The morning was bright, and the boats went out early."
SPEAK = """
import json, sys, time, torch
from uslm import ZeroShotTTS
from uslm.models.threads import idle_threads
wanted, text, repeats = sys.argv[1], sys.argv[2], int(sys.argv[3])
threads = idle_threads() if wanted == "default" else int(wanted)
torch.set_num_threads(threads)
tts = ZeroShotTTS.from_pretrained("default")
voice = tts.stock_voice()
tts.generate("Hello.", voice, seed=0)
factors = []
for _ in range(repeats):
    start = time.perf_counter()
    speech = tts.generate(text, voice, seed=1)
    factors.append((time.perf_counter() - start) / speech.seconds)
print(json.dumps({"threads": threads, "factor": sorted(factors)[len(factors) // 2]}))
"""


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that take a core each."""
    spin = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(spin) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


ASLEEP = ", asleep while they wait"


def measure(way: str, repeats: int) -> dict[str, float]:
    """Threads and real-time factor, in a process that begins anew."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    if way.endswith(ASLEEP):
        environment["OMP_WAIT_POLICY"] = "passive"
    done = subprocess.run(
        [sys.executable, "-c", SPEAK, way.removesuffix(ASLEEP), TEXT, str(repeats)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="processes that spin")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="texts a process")
    given = parser.parse_args(arguments)
    every = str(os.cpu_count() or 1)
    ways = ["1", every, every + ASLEEP, "default"]
    factors: dict[str, list[float]] = {way: [] for way in ways}
    ratios: dict[str, list[float]] = {way: [] for way in ways}
    with busy(given.busy):
        for number in range(given.rounds):
            turn = number % len(ways)
            row = {way: measure(way, given.repeats) for way in ways[turn:] + ways[:turn]}
            best = min(each["factor"] for each in row.values())
            for way, each in row.items():
                factors[way].append(each["factor"])
                ratios[way].append(each["factor"] / best)
    print(f"{os.cpu_count()} cores, {given.busy} of them kept busy, {given.rounds} rounds\n")
    print("| threads | real-time factor | to the best of the round |\n|---|---|---|")
    for way in ways:
        factor, ratio = statistics.median(factors[way]), statistics.median(ratios[way])
        print(f"| {way} | {factor:.3f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
