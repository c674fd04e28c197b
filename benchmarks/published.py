#!/usr/bin/env python3
"""The published models at their full size, with random weights; each section in a fresh process.

    python benchmarks/published.py --threads 2                   # everything, for the docs
    python benchmarks/published.py --only codecs --repeats 5
    python benchmarks/published.py --tiny                        # does it run at all?

Prints what was measured as Markdown tables, and ends with 1 if a goal is missed. No weights are
downloaded: speed and memory do not depend on what they are.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

SECTIONS = ("uslm", "maskgct", "codecs", "memory")
REFERENCE_SECONDS = 403
"""What USLM's published code, which has no cache, takes for 193 frames on two cores."""
ROWS = 8


@dataclass(frozen=True)
class Goal:
    """A number that must not be above another."""

    name: str
    measured: float
    most: float


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    if options.section:
        from published_sections import measure  # beside this file; it imports PyTorch

        print(json.dumps(measure(options)))
        return 0
    found = {name: run_section(name, arguments) for name in options.only or SECTIONS}
    goals = [goal for name, record in found.items() for goal in GOALS[name](record)]
    print("\n".join(report(found, goals)))
    return int(not options.tiny and any(goal.measured > goal.most for goal in goals))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, help="sections (default: all)")
    parser.add_argument("--tiny", action="store_true", help="tiny models; no goal counts")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default 2)")
    parser.add_argument("--repeats", type=int, default=3, help="runs; the median counts")
    parser.add_argument(
        "--dtype", default="bfloat16", choices=("float32", "bfloat16"), help="of language models"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="speech to make or to code")
    parser.add_argument("--section", choices=SECTIONS, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def run_section(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    command = [sys.executable, __file__, *arguments, "--section", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    record: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return record


def uslm_goals(record: dict[str, Any]) -> list[Goal]:
    most = REFERENCE_SECONDS / 20
    return [
        Goal("USLM: a step of stage 1 / reading its weights", record["times_read"][0], 1.5),
        Goal(f"USLM: {record['frames']} frames, s", record["utterance_seconds"], most),
    ]


def memory_goals(record: dict[str, Any]) -> list[Goal]:
    ratio = record["after_reading"] / record["weights"]
    return [Goal("peak memory / weights, loaded and read", ratio, 1.15)]


def report(found: dict[str, dict[str, Any]], goals: list[Goal]) -> Iterator[str]:
    """Markdown."""
    yield next(iter(found.values()))["machine"]
    if goals:
        yield "\n| | measured | goal | |\n|---|---|---|---|"
    for goal in goals:
        verdict = "met" if goal.measured <= goal.most else "missed"
        yield f"| {goal.name} | {goal.measured:.3g} | {goal.most:.3g} | {verdict} |"
    for name, record in found.items():
        yield from TABLES[name](record)


def uslm_table(record: dict[str, Any]) -> Iterator[str]:
    size = record["parameters"] / 1e6
    yield f"\n| USLM, {size:.0f} M, {record['dtype']} | 1 row | {ROWS} rows |\n|---|---|---|"
    alone, many = (1000 * seconds for seconds in record["step_seconds"])
    yield f"| a step of stage 1, ms | {alone:.1f} | {many:.1f} |"
    yield f"| the same / reading its weights | {_pair(record['times_read'])} |"
    yield f"| stage 2, {record['frames']} frames, s | {_pair(record['nar_seconds'])} |"
    yield f"| both stages, {record['frames']} frames, s | {record['utterance_seconds']:.3g} | |"


def maskgct_table(record: dict[str, Any]) -> Iterator[str]:
    speech = record["speech_seconds"]
    yield (
        f"\n| MaskGCT, {record['dtype']}, {speech:g} s of speech | M params | steps | s | "
        f"real-time factor | a step, ms | {ROWS} rows |\n|---|---|---|---|---|---|---|"
    )
    for name, stage in record["stages"].items():
        alone, many = (1000 * seconds for seconds in stage["step_seconds"])
        yield (
            f"| {name} | {stage['parameters'] / 1e6:.0f} | {'+'.join(map(str, stage['steps']))} | "
            f"{stage['seconds']:.3g} | {stage['seconds'] / speech:.3g} | {alone:.0f} | {many:.0f} |"
        )
    total = sum(stage["seconds"] for stage in record["stages"].values())
    yield f"| in all | | | {total:.3g} | {total / speech:.3g} | | |"


def codecs_table(record: dict[str, Any]) -> Iterator[str]:
    yield (
        f"\n| real-time factor, {record['seconds']:g} s | M params | encode | decode | "
        f"encode, {ROWS} rows | decode, {ROWS} rows |\n|---|---|---|---|---|---|"
    )
    for name, codec in record["codecs"].items():
        rates = codec["rates"]
        cells = [f"{rates[f'{what} {n}']:.3f}" for n in (1, ROWS) for what in ("encode", "decode")]
        yield f"| {name} | {codec['parameters'] / 1e6:.1f} | {' | '.join(cells)} |"


def memory_table(record: dict[str, Any]) -> Iterator[str]:
    yield "\n| memory of USLM, float32 | MB |\n|---|---|"
    for name, label in {
        "weights": "weights",
        "after_loading": "peak once loaded (mapped, not yet read)",
        "after_reading": "peak once every weight was read",
        "after_speaking": "peak once it spoke",
    }.items():
        yield f"| {label} | {record[name] / 1e6:.0f} |"


def _pair(values: Sequence[float]) -> str:
    return " | ".join(f"{value:.3g}" for value in values)


GOALS: dict[str, Callable[[dict[str, Any]], list[Goal]]] = {
    "uslm": uslm_goals,
    "maskgct": lambda record: [],
    "codecs": lambda record: [],
    "memory": memory_goals,
}
TABLES = {
    "uslm": uslm_table,
    "maskgct": maskgct_table,
    "codecs": codecs_table,
    "memory": memory_table,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
