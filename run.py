#!/usr/bin/env python3
"""Set USLM up in `.venv` beside this file, once, and run one of its commands there.

    python3 run.py uslm-tts --text "Hello." --prompt voice.wav --out speech.wav
    python3 run.py test

Needs Python 3.10 or newer with pip, and nothing else on the machine. The first run installs for
some minutes; later runs start at once, until pyproject.toml or constraints.txt change. On Linux
without an NVIDIA GPU it takes the small PyTorch, unless PIP_INDEX_URL or PIP_EXTRA_INDEX_URL is
set.
`.venv` has a pip of its own: after `source .venv/bin/activate`, `pip install` adds to it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import venv
from pathlib import Path

PROJECT = Path(__file__).resolve().parent
VENV = PROJECT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")

# What a command needs beyond the base installation: an extra of pyproject.toml.
EXTRAS = {"test": "dev", "uslm-demo": "demo", "uslm-prepare": "train"}

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch without CUDA: 1.3 GB installed, where PyPI's for Linux takes 5.0."""
REACH_SECONDS = 5.0
"""How long to wait for that index before PyPI's PyTorch is taken instead."""


def main(arguments: list[str]) -> int:
    if sys.version_info < (3, 10):  # noqa: UP036 (an older Python shall say so)
        say(f"Python must be 3.10 or newer, but is {sys.version}")
        return 3
    if not arguments or arguments[0] in ("-h", "--help"):
        print((__doc__ or "").strip())
        return 0 if arguments else 1
    name, *rest = arguments
    try:
        set_up(EXTRAS.get(name, ""))
    except subprocess.CalledProcessError as error:
        say(f"the set-up failed at: {' '.join(error.cmd)}")
        return 3
    if name == "test":
        return start([str(PYTHON), "-m", "pytest", "-n", "2", *rest])
    if name == "python":
        return start([str(PYTHON), *rest])
    if not (BIN / name).with_suffix(PYTHON.suffix).exists():
        say(f"no command named {name!r}; try uslm-tts, uslm or test")
        return 1
    return start([str(BIN / name), *rest])


def set_up(extra: str) -> None:
    """Make `.venv` hold this project with the extra, unless it already does."""
    stamp = VENV / f"installed-{extra or 'base'}.txt"
    wanted = fingerprint()
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    say(f"setting up {VENV.name} for {extra or 'speech'}, once; this takes some minutes")
    if not PYTHON.exists():
        venv.create(VENV, clear=True, with_pip=False)
        pip_install("pip")  # for whoever activates it
    project = f".[{extra}]" if extra else "."
    pip_install("--constraint", "constraints.txt", *torch_index(), "--editable", project)
    if extra == "dev":
        # Tests compare with it; without its torchaudio, which may not load (CONTRIBUTING). And
        # judges of speech, of which their weights alone are used.
        alone = ("--constraint", "constraints.txt", "--no-deps", "--use-pep517")
        pip_install(*alone, "resemblyzer", "webrtcvad-wheels", "speechmos", "encodec")
    stamp.write_text(wanted)
    say(f"{VENV.name} is ready; to use it yourself: source {VENV.name}/bin/activate")


def torch_index() -> list[str]:
    """pip's options for the PyTorch that fits this machine; none where the usual one does."""
    chosen = os.environ.keys() & {"PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"}
    if chosen or platform.system() != "Linux" or has_gpu():
        return []
    if not is_reachable(f"{CPU_INDEX}/torch/"):
        say(f"{CPU_INDEX} cannot be reached: taking PyPI's PyTorch, which may bring CUDA (5 GB)")
        return []
    say("no NVIDIA GPU here: taking the small PyTorch")
    return ["--extra-index-url", CPU_INDEX]


def has_gpu() -> bool:
    """Whether an NVIDIA driver is installed."""
    return shutil.which("nvidia-smi") is not None


def is_reachable(url: str) -> bool:
    """Whether the address answers in time."""
    try:
        with urllib.request.urlopen(url, timeout=REACH_SECONDS):
            return True
    except (urllib.error.URLError, OSError):
        return False


def say(message: str) -> None:
    """On stderr, as stdout belongs to the command."""
    print(f"run.py: {message}", file=sys.stderr, flush=True)


def fingerprint() -> str:
    """Changes whenever the installation must be made anew."""
    digest = hashlib.sha256(str(PROJECT).encode())
    for name in ("pyproject.toml", "constraints.txt", "run.py"):
        digest.update((PROJECT / name).read_bytes())
    return digest.hexdigest()


def pip_install(*arguments: str) -> None:
    """Run pip for `.venv`; all it prints goes to stderr, as stdout belongs to the command.

    Someone who watches sees what is fetched; a log file is spared it.
    """
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    options = [*quiet, "--disable-pip-version-check", *arguments]
    subprocess.run([*pip(), "install", *options], check=True, stdout=sys.stderr, cwd=PROJECT)


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
