#!/usr/bin/env python3
"""Set USLM up in `.venv` beside this file, once, and run one of its commands there.

    python3 run.py uslm-tts --text "Hello." --prompt voice.wav --out speech.wav
    python3 run.py test

Needs Python 3.10 or newer with pip, and nothing else on the machine. The first run installs for
some minutes; later runs start at once, until pyproject.toml or constraints.txt change.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

HOUSE = Path(__file__).resolve().parent
VENV = HOUSE / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")

# What a command needs beyond the base installation: an extra of pyproject.toml.
EXTRAS = {"test": "dev", "uslm-demo": "demo", "uslm-prepare": "train"}


def main(arguments: list[str]) -> int:
    if sys.version_info < (3, 10):  # noqa: UP036 (an older Python shall say so)
        print(f"run.py: Python must be 3.10 or newer, but is {sys.version}", file=sys.stderr)
        return 3
    if not arguments or arguments[0] in ("-h", "--help"):
        print((__doc__ or "").strip())
        return 0 if arguments else 1
    name, *rest = arguments
    try:
        set_up(EXTRAS.get(name, ""))
    except subprocess.CalledProcessError as error:
        print(f"run.py: the set-up failed at: {' '.join(error.cmd)}", file=sys.stderr)
        return 3
    if name == "test":
        return start([str(PYTHON), "-m", "pytest", "-n", "2", *rest])
    if name == "python":
        return start([str(PYTHON), *rest])
    if not (BIN / name).with_suffix(PYTHON.suffix).exists():
        print(f"run.py: no command named {name!r}; try uslm-tts, uslm or test", file=sys.stderr)
        return 1
    return start([str(BIN / name), *rest])


def set_up(extra: str) -> None:
    """Make `.venv` hold this project with the extra, unless it already does."""
    stamp = VENV / f"installed-{extra or 'base'}.txt"
    wanted = fingerprint()
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    print("run.py: setting up .venv, once; this takes some minutes", file=sys.stderr)
    if not PYTHON.exists():
        venv.create(VENV, clear=True, with_pip=False)
    project = f".[{extra}]" if extra else "."
    pip_install("--constraint", "constraints.txt", "--editable", project)
    if extra == "dev":
        # Without its torchaudio, which may not load; encodec_bridge.py says more.
        pip_install("--constraint", "constraints.txt", "--no-deps", "--use-pep517", "encodec")
    stamp.write_text(wanted)


def fingerprint() -> str:
    """Changes whenever the installation must be made anew."""
    digest = hashlib.sha256(str(HOUSE).encode())
    for name in ("pyproject.toml", "constraints.txt", "run.py"):
        digest.update((HOUSE / name).read_bytes())
    return digest.hexdigest()


def pip_install(*arguments: str) -> None:
    """Run pip for `.venv`; all it prints goes to stderr, as stdout belongs to the command."""
    options = ["--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run([*pip(), "install", *options], check=True, stdout=sys.stderr, cwd=HOUSE)


def pip() -> list[str]:
    """A pip that installs into `.venv`: the one at hand (Debian's Python cannot put another into
    a new environment), or, where that is too old to serve another Python, one of its own."""
    at_hand = [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    if subprocess.run([*at_hand, "--version"], capture_output=True).returncode == 0:
        return at_hand
    subprocess.run([str(PYTHON), "-m", "ensurepip"], check=True, stdout=sys.stderr)
    return [str(PYTHON), "-m", "pip"]


def start(command: list[str]) -> int:
    """Become the command (on Windows: run it), so that signals and exit codes are its own."""
    if os.name == "posix":
        os.execv(command[0], command)
    return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
