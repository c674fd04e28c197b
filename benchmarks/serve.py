#!/usr/bin/env python3
"""The server under load: delay, throughput, memory, and whether anything is lost or mixed up.

    python benchmarks/serve.py                       # all of it, with the default model
    python benchmarks/serve.py --requests 1000 --model FOLDER --threads 2
    python benchmarks/serve.py --quick               # does it run at all? The numbers say nothing

Each server is `uslm serve` in a process of its own, its clients are threads of this one. Prints
Markdown, and ends with 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

USLM = [sys.executable, "-c", "import sys; from uslm_app.cli import main; sys.exit(main())"]
PROMPT = Path(__file__).parents[1] / "examples" / "voice.wav"
TEXTS = (
    "The quick brown fox jumps over the lazy dog near the river bank.",
    "She opened the window and listened to the rain for a while.",
    "Nobody had told him that the last train leaves at nine.",
    "We walked along the shore until the lights of the town were gone.",
)
WAV_HEADER_BYTES = 44


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one request brought."""

    status: int
    first_seconds: float
    """From the request to its first samples."""
    total_seconds: float
    audio_seconds: float
    digest: str
    """Of all the bytes."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """Many clients, each asking again as soon as it is answered."""

    clients: int
    answers: Sequence[Answer]
    seconds: float

    @property
    def first_audio(self) -> float:
        """Median time to the first samples, seconds."""
        return statistics.median(answer.first_seconds for answer in self.answers)

    @property
    def worst_first_audio(self) -> float:
        return max(answer.first_seconds for answer in self.answers)

    @property
    def throughput(self) -> float:
        """Seconds of speech made per second."""
        return sum(answer.audio_seconds for answer in self.answers) / self.seconds


class Server:
    """`uslm serve`, seen from its clients."""

    def __init__(self, url: str) -> None:
        self._host, self._port = urlsplit(url).hostname or "", urlsplit(url).port

    def speak(self, seed: int, text: str) -> Answer:
        """Ask for speech, and read it as it comes."""
        fields = {"model": "default", "voice": "voice", "input": text, "seed": seed}
        body = json.dumps({**fields, "response_format": "wav"})
        connection = HTTPConnection(self._host, self._port, timeout=600)
        begin = time.perf_counter()
        connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data, first = b"", 0.0
        while part := answer.read1():
            data += part
            if not first and len(data) > WAV_HEADER_BYTES:
                first = time.perf_counter() - begin
        total = time.perf_counter() - begin
        connection.close()
        rate = int(answer.getheader("X-Uslm-Sample-Rate") or 0)
        seconds = (len(data) - WAV_HEADER_BYTES) / 2 / rate if rate else 0.0
        return Answer(
            status=answer.status, first_seconds=first, total_seconds=total,
            audio_seconds=seconds, digest=hashlib.sha256(data).hexdigest(),
        )  # fmt: skip

    def load(self, clients: int, requests: int) -> Load:
        """So many requests in all, by so many clients at a time."""
        begin = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            answers = list(pool.map(self._ask, range(requests)))
        assert all(answer.status == 200 for answer in answers), "a request was refused"
        return Load(clients=clients, answers=answers, seconds=time.perf_counter() - begin)

    def crowd(self, texts: Sequence[str]) -> list[Answer]:
        """All of them at once; the seed of each is its place."""
        with ThreadPoolExecutor(len(texts)) as pool:
            return list(pool.map(self.speak, range(len(texts)), texts))

    def memory(self) -> float:
        """Bytes that the server's process holds."""
        connection = HTTPConnection(self._host, self._port, timeout=60)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        found = re.search(r"^process_resident_memory_bytes (\S+)$", text, re.M)
        assert found is not None, "no resident memory in /metrics"
        return float(found[1])

    def _ask(self, number: int) -> Answer:
        return self.speak(number, text_of(number))


def text_of(number: int, sentences: int = 1) -> str:
    """Another text for each number, as far as there are others."""
    return " ".join(TEXTS[(number + i) % len(TEXTS)] for i in range(sentences))


@contextmanager
def serving(voices: Path, slots: int, options: argparse.Namespace) -> Iterator[Server]:
    """A server in a fresh process, warmed up."""
    model = ["--model", options.model, "--threads", str(options.threads)]
    place = ["--port", "0", "--voices", str(voices), "--slots", str(slots), "--queue", "64"]
    command = [*USLM, "serve", "--json", *place, *model]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                sys.exit("the server did not start")
            server = Server(json.loads(line)["url"])
            server.load(2, 2)
            yield server
        finally:
            process.terminate()


@dataclass(frozen=True)
class Goal:
    """A number, and what it must be."""

    name: str
    measured: str
    wanted: str
    is_met: bool


def measure(options: argparse.Namespace) -> Iterator[Load | Goal]:
    """All measurements, as they are done."""
    with tempfile.TemporaryDirectory() as folder:
        voices = Path(folder)
        out = ["--out", str(voices / "voice.safetensors"), "--name", "voice"]
        create = ["voice", "create", "--prompt", str(PROMPT), "--model", options.model]
        subprocess.run([*USLM, *create, *out, "--quiet"], check=True)
        with serving(voices, options.slots, options) as server:
            for clients in (1, 4, 16):
                yield server.load(clients, max(clients, options.each * min(clients, 4)))
            yield from crowd_goals(server, [text_of(number) for number in range(options.crowd)])
            # Requests of several sentences hold slots and wait for them at the same time.
            sizes = [1 + 5 * number % 12 for number in range(options.long)]
            yield from crowd_goals(server, [text_of(*each) for each in enumerate(sizes)])
            yield from memory_goals(server, options)
        yield from batching_goals(voices, options)


def crowd_goals(server: Server, texts: Sequence[str]) -> Iterator[Goal]:
    """All at once: every request is answered, and with what its seed says."""
    answers = server.crowd(texts)
    spoken = {number: a for number, a in enumerate(answers) if a.status == 200}
    refused = sum(answer.status == 429 for answer in answers)
    lost = len(answers) - len(spoken) - refused
    words = f"{len(spoken)} spoken, {refused} refused, {lost} lost"
    sentences = sum(text.count(".") for text in texts)
    name = f"{len(texts)} at once, {sentences} sentences"
    yield Goal(name, words, "none lost", not lost and bool(spoken))
    # Alone, each seed says the same again; and no two say the same.
    mixed = sum(
        server.speak(number, texts[number]).digest != answer.digest
        for number, answer in spoken.items()
    )
    mixed += len(spoken) - len({answer.digest for answer in spoken.values()})
    yield Goal("of these, mixed up", str(mixed), "0", mixed == 0)


def memory_goals(server: Server, options: argparse.Namespace) -> Iterator[Goal]:
    """What the process holds after a tenth of the requests, and after all of them."""
    few = options.requests // 10
    server.load(8, few)
    before = server.memory()
    server.load(8, options.requests - few)
    after = server.memory()
    words = f"{before / 1e6:.0f} MB -> {after / 1e6:.0f} MB"
    name = f"memory after {few} and {options.requests} requests"
    yield Goal(name, words, "within 5 %", after <= 1.05 * before)


def batching_goals(voices: Path, options: argparse.Namespace) -> Iterator[Goal]:
    """The same 8 clients, with requests together and one at a time; in turns, the best counts."""
    together = one_by_one = 0.0
    with (
        serving(voices, options.slots, options) as many,
        serving(voices, 1, options) as single,
    ):
        for _ in range(options.repeats):
            together = max(together, many.load(8, 8 * options.each).throughput)
            one_by_one = max(one_by_one, single.load(8, 8 * options.each).throughput)
    words = f"{together:.1f} / {one_by_one:.1f} = {together / one_by_one:.2f}"
    yield Goal(
        "throughput at 8 clients, batched / one by one", words, "2", together >= 2 * one_by_one
    )


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    print("| clients | first audio, median | worst | speech made per second |\n|---|---|---|---|")
    goals = []
    for found in measure(options):
        if isinstance(found, Goal):
            goals.append(found)
            continue
        median, worst = 1000 * found.first_audio, 1000 * found.worst_first_audio
        print(f"| {found.clients} | {median:.0f} ms | {worst:.0f} ms | {found.throughput:.1f} s |")
    print("\n| | measured | goal | |\n|---|---|---|---|")
    for goal in goals:
        verdict = "met" if goal.is_met else "missed"
        print(f"| {goal.name} | {goal.measured} | {goal.wanted} | {verdict} |")
    return 0 if options.quick or all(goal.is_met for goal in goals) else 1


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--model", default="default", help="folder of the model")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of a server")
    parser.add_argument("--slots", type=int, default=8, help="requests in one batch")
    parser.add_argument("--each", type=int, default=6, help="requests of a client")
    parser.add_argument("--crowd", type=int, default=200, help="requests at once")
    parser.add_argument("--long", type=int, default=24, help="requests at once of 1-12 sentences")
    parser.add_argument("--requests", type=int, default=1000, help="requests in all, for memory")
    parser.add_argument("--repeats", type=int, default=3, help="turns of the comparison")
    parser.add_argument("--quick", action="store_true", help="as little of everything as there is")
    options = parser.parse_args(arguments)
    if options.quick:
        options.each, options.crowd, options.requests, options.repeats = 1, 20, 20, 1
        options.long = 6
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
