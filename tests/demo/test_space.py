"""The hosted Space: what it installs, and that it starts without an installation."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_requirements_are_those_of_the_project() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "demo" / "requirements.txt").read_text().splitlines()
    required = {line for line in lines if not line.startswith("#")}
    assert set(project["dependencies"]) <= required

    def names(requirements: set[str]) -> set[str]:
        return {re.split(r"[^\w-]", line)[0] for line in requirements}

    extra = {"gradio", "matplotlib"}
    assert names(required - set(project["dependencies"])) == extra
    assert names(set(project["optional-dependencies"]["demo"])) <= extra


def test_it_starts_from_a_copy(tmp_path: Path) -> None:
    for folder in ("uslm", "tokenizer", "demo"):
        ignored = shutil.ignore_patterns("__pycache__", "assets")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    code = (
        "import runpy, sys\n"
        "sys.argv = ['space.py', '--help']\n"
        f"try: runpy.run_path({str(tmp_path / 'demo' / 'space.py')!r}, run_name='__main__')\n"
        "except SystemExit as exit: assert exit.code == 0\n"
        f"assert sys.modules['uslm_tokenizer'].__file__.startswith({str(tmp_path)!r})"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "usage" in result.stdout
