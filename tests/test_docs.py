"""The documents tell the truth: the README's Python and commands run as they stand, links lead on.

A block of the README that cannot be run says so above it: `<!-- not run: why -->`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(
    r"(?P<not_run><!-- not run: .+? -->\n)?^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.M | re.S
)
# These set the project up or run all tests: a run of the tests need not do either again.
SET_UP = ("python3 run.py test", "pip install ")


def blocks(language: str) -> list[str]:
    found = [match for match in BLOCK.finditer(README) if match["language"] == language]
    return [match["body"] for match in found if not match["not_run"]]


def commands() -> list[str]:
    lines = "".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith(("#", *SET_UP))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder with the examples, for the README's commands in their order."""
    made = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "examples", made / "examples")
    return made


def run(command: list[str], folder: Path) -> None:
    path = sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"]
    result = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_python_blocks_run(folder: Path) -> None:
    run([sys.executable, "-W", "error", "-c", "\n".join(blocks("python"))], folder)


def test_commands_run_in_their_order(folder: Path) -> None:
    """One test: a later command may need what an earlier one wrote."""
    assert commands()
    for command in commands():
        run(["bash", "-euc", command.replace("python3 run.py ", "")], folder)


def test_the_readme_has_the_two_commands() -> None:
    lines = "".join(blocks("bash")).splitlines()
    assert "python3 run.py test" in lines
    assert any(line.startswith("python3 run.py uslm-tts --text ") for line in lines)


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "python3 run.py test" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("document", sorted(str(path.name) for path in ROOT.glob("*.md")))
def test_links_lead_to_files(document: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / document).read_text())
    local = [target for target in targets if "://" not in target]
    assert not [target for target in local if not (ROOT / target).exists()]
