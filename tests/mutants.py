#!/usr/bin/env python3
"""Small changes that make the project wrong, and the tests that must notice each of them.

    python tests/mutants.py                  # all of tests/mutants.toml; tens of minutes
    python tests/mutants.py prompt deadly    # those whose names hold one of these words

Each change is made in a copy of the working tree, and its tests are run there. It is killed if
they fail, survives if they pass, and no longer applies if its text is not in its file once. Ends
with 1 unless all are killed. `--check` only asks whether they apply.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it there

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_name("mutants.toml")
PACKAGES = ("", "tokenizer", "recipes", "app", "demo")
KEYS = {"name", "breaks", "file", "before", "after", "tests"}
SECONDS = 1200
"""A mutant may make its tests hang: that is noticed too."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("words", nargs="*", help="parts of names (default: all)")
    parser.add_argument("--check", action="store_true", help="run no tests")
    options = parser.parse_args(arguments)
    mutants = [m for m in read() if not options.words or any(w in m["name"] for w in options.words)]
    results: dict[str, list[str]] = {"killed": [], "survived": [], "no longer applies": []}
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        copy = Path(place) / "tree"
        if not options.check:
            ignored = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", "runs")
            shutil.copytree(ROOT, copy, ignore=ignored)
            tests = sorted({test for mutant in mutants for test in mutant["tests"].split()})
            if failure := run_tests(tests, copy):
                sys.exit(f"without any mutant, these tests fail already:\n{failure}")
        for mutant in mutants:
            if not applies(mutant):
                outcome = "no longer applies"
            elif options.check:
                continue
            else:
                outcome = "killed" if is_killed(mutant, copy) else "survived"
            results[outcome].append(mutant["name"])
            print(f"{outcome:17} {mutant['name']}: {mutant['breaks']}", flush=True)
    print(", ".join(f"{len(names)} {outcome}" for outcome, names in results.items()))
    return 1 if results["survived"] or results["no longer applies"] else 0


def read() -> list[Mapping[str, str]]:
    """The list; every entry has all of KEYS and a name of its own."""
    mutants: list[Mapping[str, str]] = tomllib.loads(LIST.read_text("utf-8"))["mutant"]
    assert all(set(mutant) == KEYS for mutant in mutants)
    assert len({mutant["name"] for mutant in mutants}) == len(mutants)
    return mutants


def applies(mutant: Mapping[str, str]) -> bool:
    """Whether the text to change is there, once."""
    path = ROOT / mutant["file"]
    return path.is_file() and path.read_text("utf-8").count(mutant["before"]) == 1


def is_killed(mutant: Mapping[str, str], copy: Path) -> bool:
    """Whether the tests fail in the changed copy; the copy is as before afterwards."""
    path = copy / mutant["file"]
    original = path.read_text("utf-8")
    path.write_text(original.replace(mutant["before"], mutant["after"]), "utf-8")
    try:
        return run_tests(mutant["tests"].split(), copy) != ""
    finally:
        path.write_text(original, "utf-8")


def run_tests(tests: Sequence[str], copy: Path) -> str:
    """Nothing if they pass, else what failed; what is no answer ends this command."""
    paths = os.pathsep.join(str(copy / package) for package in PACKAGES)
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.setdefault("SPEECH", str(ROOT.parent / "shared" / "speech"))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"not done after {SECONDS} s"
    if done.returncode not in (0, 1):
        sys.exit(
            f"pytest ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
        )
    return done.stdout[-3000:] if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
