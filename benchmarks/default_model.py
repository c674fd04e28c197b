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
from collections.abc import Sequence

USLM = [sys.executable, "-c", "import sys; from uslm_app.cli import main; sys.exit(main())"]
HELP_REPEATS = 5


def main(arguments: Sequence[str]) -> int:
    report = json.loads(run([*USLM, "bench", "--json", *arguments]))
    stages = {stage["name"]: stage["real_time_factor"] for stage in report["speech"]["stages"]}
    alone, many = report["steps"]
    rows = [
        ("real-time factor", stages["in all"], 0.25, ""),
        ("first audio", 1000 * report["speech"]["first_audio_seconds"], 400, "ms"),
        ("peak memory", (report["peak_memory_bytes"] or 0) / 1e6, 1000, "MB"),
        ("`uslm --help`", 1000 * help_seconds(), 300, "ms"),
        ("a cached step / reading its weights", alone["times_read"], 1.5, ""),
    ]
    machine = report["machine"]
    print(f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, ", end="")
    print(f"torch {machine['torch_version']}, {report['bandwidth'] / 1e9:.1f} GB/s\n")
    print("| | measured | goal |\n|---|---|---|")
    for name, value, goal, unit in rows:
        print(f"| {name} | {value:.3g} {unit} | {goal} {unit} |")
    print("\n| | |\n|---|---|")
    for name, factor in stages.items():
        print(f"| {name}, seconds for each second of speech | {factor:.3f} |")
    print(f"| {report['batch']['rows']} at once | {report['batch']['real_time_factor']:.3f} |")
    print(f"| step with the cache, ms | {1000 * alone['cached_seconds']:.2f} |")
    print(f"| step without it, ms | {1000 * alone['uncached_seconds']:.2f} |")
    print(f"| units a second, {alone['rows']} row | {alone['tokens_per_second']:.0f} |")
    print(f"| units a second, {many['rows']} rows | {many['tokens_per_second']:.0f} |")
    return int(any(value > goal for _, value, goal, _ in rows))


def help_seconds() -> float:
    """The least time that the command takes to show its help."""
    times = []
    for _ in range(HELP_REPEATS):
        start = time.perf_counter()
        run([*USLM, "--help"])
        times.append(time.perf_counter() - start)
    return min(times)


def run(command: Sequence[str]) -> str:
    """What a command prints; ends with its error if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
