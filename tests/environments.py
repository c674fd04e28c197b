"""Environments of their own for tests: what is installed there, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

IN_CI = [
    pytest.mark.skipif(
        not os.environ.get("CI") and not os.environ.get("USLM_ENVIRONMENTS"),
        reason="it installs for minutes; set USLM_ENVIRONMENTS=1 to run it",
    ),
    pytest.mark.timeout(1800),
]
"""Marks of tests that need minutes and a package registry."""


def make_environment(folder: Path, below: Path | None = None) -> Path:
    """An environment with pip; what is installed `below` is there, too. Its folder of commands."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    own = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run([*own, "install", "--quiet", "pip"], check=True)
    if below is not None:
        [packages] = folder.glob("lib/python*/site-packages")
        [lower] = below.glob("lib/python*/site-packages")
        (packages / "below.pth").write_text(f"{lower}\n")
    return folder / "bin"


def environment_of(commands: Path, below: Path | None = None) -> dict[str, str]:
    """Variables of a shell in which the environment is activated; nothing else is at hand."""
    lower = [] if below is None else [str(below / "bin")]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    path = os.pathsep.join([str(commands), *lower, os.environ["PATH"]])
    return {**kept, "PATH": path, "VIRTUAL_ENV": str(commands.parent)}


def check_shell(lines: str, folder: Path, environment: dict[str, str], place: str) -> str:
    """Run a line or more; fails with what they said, or gives it."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines], cwd=folder, env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{place}: {lines}\n{done.stdout[-6000:]}"
    return done.stdout
