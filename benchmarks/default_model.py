#!/usr/bin/env python3
"""The default model against the project's goals for two CPU cores; each in a fresh process.

    python benchmarks/default_model.py [options of `uslm bench`]

Prints what was measured as a Markdown table, and ends with 1 if a goal is missed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

USLM = [sys.executable, "-c", "import sys; from uslm_app.cli import main; sys.exit(main())"]
HELP_REPEATS = 5


@dataclass(frozen=True)
class Goal:
    """A number that must not be above another."""

    name: str
    measured: float
    most: float
    unit: str = ""

    @property
    def is_met(self) -> bool:
        return self.measured <= self.most


def main(arguments: Sequence[str]) -> int:
    report = json.loads(run([*USLM, "bench", "--json", *arguments]))
    found = goals(report, help_seconds())
    print("\n".join(table(report, found)))
    return 0 if all(goal.is_met for goal in found) else 1


def goals(report: dict[str, Any], help_seconds: float) -> list[Goal]:
    """What the project promises for two CPU cores."""
    speech, step = report["speech"], report["steps"][0]
    in_all = speech["stages"][-1]["real_time_factor"]
    return [
        Goal("real-time factor", in_all, 0.25),
        Goal("first audio", 1000 * speech["first_audio_seconds"], 400, "ms"),
        Goal("peak memory", (report["peak_memory_bytes"] or 0) / 1e6, 1000, "MB"),
        Goal("`uslm --help`", 1000 * help_seconds, 300, "ms"),
        Goal("a cached step / reading its bytes from memory", step["times_read"], 1.5),
    ]


def table(report: dict[str, Any], found: Sequence[Goal]) -> Iterator[str]:
    """Markdown: the machine, the goals, and where the time goes."""
    machine, batch, (alone, many) = report["machine"], report["batch"], report["steps"]
    yield (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"torch {machine['torch']}, {report['bandwidth'] / 1e9:.1f} GB/s"
    )
    yield "\n| | measured | goal | |\n|---|---|---|---|"
    for goal in found:
        verdict = "met" if goal.is_met else "missed"
        measured, most = f"{goal.measured:.3g} {goal.unit}", f"{goal.most:g} {goal.unit}"
        yield f"| {goal.name} | {measured} | {most} | {verdict} |"
    yield "\n| | seconds for each second of speech |\n|---|---|"
    for stage in report["speech"]["stages"]:
        yield f"| {stage['name']} | {stage['real_time_factor']:.3f} |"
    yield f"| {batch['rows']} at once | {batch['real_time_factor']:.3f} |"
    yield f"\n| a step of stage 1 | 1 row | {many['rows']} rows |\n|---|---|---|"
    yield f"| with the cache, ms | {_ms(alone)} | {_ms(many)} |"
    yield f"| without it, ms | {1000 * alone['uncached_seconds']:.2f} | |"
    rates = [f"{step['tokens_per_second']:.0f}" for step in (alone, many)]
    yield f"| units per second | {rates[0]} | {rates[1]} |"
    sizes = [f"{step['bytes_read'] / 1e6:.1f}" for step in (alone, many)]
    yield f"| bytes read, MB | {sizes[0]} | {sizes[1]} |"
    for name, key in (("memory", "times_read"), ("a cache", "times_hot_read")):
        yield f"| times reading them from {name} | {alone[key]:.2f} | {many[key]:.2f} |"


def _ms(step: dict[str, Any]) -> str:
    return f"{1000 * step['cached_seconds']:.2f}"


def help_seconds() -> float:
    """The least time that the command takes to show its help."""
    times = []
    for _ in range(HELP_REPEATS):
        start = time.perf_counter()
        run([*USLM, "--help"])
        times.append(time.perf_counter() - start)
    return min(times)


def run(command: Sequence[str]) -> str:
    """What a command prints; ends as it does if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
