#!/usr/bin/env python3
"""Runs benchmarks and writes what they print into the documents; nothing there is typed in.

    python benchmarks/write_page.py                      # all of them: an hour
    python benchmarks/write_page.py serve default_model  # these, the others stay

What a benchmark says stands between `<!-- measured: NAME -->` and `<!-- end -->`, in docs/speed.md
and, of the default model, in the README too.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from uslm_tokenizer.machine import Machine

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "docs" / "speed.md", ROOT / "README.md")
COMMANDS = {
    "default_model": ["default_model.py"],
    "threads": ["threads.py"],
    "threads_busy": ["threads.py", "--busy", "2"],
    "serve": ["serve.py"],
    "published": ["published.py", "--threads", "2", "--dtype", "float32"],
    "uslm": ["published.py", "--threads", "2", "--dtype", "float32", "--only", "uslm"],
    "train": ["train.py", "--seconds", "3"],
    "compiled": ["train.py", "--seconds", "3", "--recipes", "units", "--compiled"],
    "codec_compiled": [
        "train.py",
        "--seconds",
        "5",
        "--recipes",
        "waveform_codec",
        "--sizes",
        "mini",
        "--compiled",
    ],
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(COMMANDS)} (default: all)")
    parser.add_argument("--pages", type=Path, nargs="+", default=PAGES, help="pages to write")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(COMMANDS)):
        parser.error(f"names must be of {', '.join(COMMANDS)}, but {unknown[0]!r} is not")
    for name in options.names or COMMANDS:
        printed = run(COMMANDS[name])
        for page in options.pages:
            text = replaced(page.read_text("utf-8"), name, section(COMMANDS[name], printed))
            page.write_text(text, "utf-8")
    return 0


def run(command: Sequence[str]) -> str:
    """What a benchmark prints; 1, its word for a missed goal, is a result like any other."""
    path = str(ROOT / "benchmarks" / command[0])
    done = subprocess.run([sys.executable, path, *command[1:]], stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1) or not done.stdout:
        sys.exit(f"{command[0]} ended with {done.returncode}; the page is as it was")
    return done.stdout


def section(command: Sequence[str], printed: str) -> str:
    """What was printed, with the command and where and when it ran."""
    here = Machine.here("cpu")
    where = f"{here.cpu}, {here.cores} cores, torch {here.torch}, {date.today():%B %Y}"
    return with_checksum(
        f"\n`python benchmarks/{' '.join(command)}` on {where}:\n\n{printed.strip()}\n\n"
    )


def with_checksum(text: str) -> str:
    """A part with its digest below it: numbers that somebody types in later do not fit it."""
    return f"{text}<!-- printed: {digest(text)} -->\n"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def replaced(page: str, name: str, text: str) -> str:
    """The page with another part of this name, if it has one."""
    part = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- end -->)", re.S)
    return part.sub(lambda found: found[1] + text + found[2], page)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
