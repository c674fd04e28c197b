#!/usr/bin/env python3
"""How many hostile inputs the fuzz tests give to what, and how many end otherwise than told.

    python tests/fuzz.py                # those of each run of the tests
    python tests/fuzz.py --random 5     # five times others, to look for what nobody has found yet

An input that is neither taken nor refused in one line is a failure; pytest prints it. Requests to
the server are counted by the routes. Ends with 1 if there is any failure.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FUZZERS = {
    "recordings": "tests/tokenizer/audio/test_fuzz.py",
    "voices": "tests/uslm/systems/two_stage/test_hostile_voices.py",
    "codes": "tests/app/test_fuzz_codes.py",
    "models, checkpoints, configs, indexes": "tests/tokenizer/test_hostile_folders.py",
    "bundles": "tests/uslm/systems/two_stage/test_hostile_models.py",
    "training: configs, checkpoints": "tests/recipes/test_hostile_training.py",
    "corpora: manifests, tables, shards, audio": "tests/recipes/test_fuzz.py",
    "texts for espeak": "tests/uslm/text/test_espeak.py",
    "SSML": "tests/uslm/text/test_ssml.py",
}
COUNTS = re.compile(r"- (\d+) passing, (\d+) failing, and (\d+) invalid test cases")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--random", type=int, default=0, metavar="TIMES", help="other inputs")
    options = parser.parse_args(arguments)
    inputs, failures, ended_well = Counter[str](), Counter[str](), True
    for _ in range(max(1, options.random)):
        profile = "random" if options.random else "same"
        for what, path in FUZZERS.items():
            printed, code = run(path, profile)
            found = [[int(number) for number in each] for each in COUNTS.findall(printed)]
            inputs[what] += sum(passing + failing for passing, failing, _ in found)
            failures[what] += sum(failing for _, failing, _ in found)
            if code:
                ended_well = False
                print(printed)
    width = max(map(len, FUZZERS))
    for what in FUZZERS:
        print(f"{what:<{width}}  {inputs[what]:>7,} inputs  {failures[what]} failures")
    print(f"{'all':<{width}}  {inputs.total():>7,} inputs  {failures.total()} failures")
    return 0 if ended_well else 1


def run(path: str, profile: str) -> tuple[str, int]:
    """What pytest prints of a file's tests, and its exit code."""
    command = [sys.executable, "-m", "pytest", "-q", "--hypothesis-show-statistics", path]
    environment = {**os.environ, "USLM_FUZZ": profile, "CI": "true"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    return done.stdout + done.stderr, done.returncode


if __name__ == "__main__":
    sys.exit(main())
