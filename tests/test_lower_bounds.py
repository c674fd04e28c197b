"""The project works with the oldest versions of its dependencies that pyproject.toml admits.

PyTorch's own lower bound counts where its index of small builds can be reached; elsewhere the
tested PyTorch stands in for it, as the one on PyPI would bring gigabytes of CUDA.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import tomllib

from tests.environments import IN_CI, check_shell, environment_of, make_environment

ROOT = Path(__file__).parents[1]
EXTRAS = ("serve", "aac")
TOOLS = ("pytest", "pytest-timeout", "beartype>=0.20", "hypothesis>=6.100", "httpx2>=2.12")
"""What these tests need themselves, at the newest."""
TESTS = (
    "tests/uslm/test_tts.py",
    "tests/uslm/models",
    "tests/tokenizer/audio",
    "tests/app/test_say.py",
)
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)>=(?P<lower>[0-9.]+)")


def lowest(requirements: Iterable[str]) -> list[str]:
    """The lower bound of each requirement, as pip takes it."""
    found = []
    for requirement in requirements:
        match = REQUIREMENT.fullmatch(requirement)
        assert match is not None, f"{requirement} has no lower bound alone"
        found.append(f"{match['name']}=={match['lower']}")
    return found


def declared() -> list[str]:
    """Requirements of the base installation and of the extras that are tried."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *(each for extra in EXTRAS for each in extras[extra])]


def test_every_dependency_has_a_lower_bound() -> None:
    pins = lowest(declared())
    assert "torch==2.6" in pins and len(pins) == len(set(pins)) >= 14


@pytest.mark.parametrize("requirement", ["torch", "torch<3", "torch==2.6"])
def test_a_requirement_without_a_lower_bound_is_seen(requirement: str) -> None:
    with pytest.raises(AssertionError, match="has no lower bound"):
        lowest([requirement])


class TestTheOldestVersions:
    """In an environment of their own."""

    pytestmark = IN_CI

    def test_they_speak(self, tmp_path: Path, load_script: Any) -> None:
        indices = load_script(ROOT / "run.py").torch_index()
        commands = make_environment(tmp_path / "old")
        shell = environment_of(commands)
        pins = lowest(declared())
        if indices:
            shell["PIP_EXTRA_INDEX_URL"] = indices[-1]
        else:
            [tested] = re.findall(r"^torch==.*$", constraints(), re.M)
            pins = [tested if pin.startswith("torch==") else pin for pin in pins]
        quoted = " ".join(f"'{each}'" for each in [*pins, *TOOLS])
        check_shell(f"pip install --quiet {quoted}", ROOT, shell, "lower bounds")
        check_shell("pip install --quiet --no-deps --editable .", ROOT, shell, "the project")
        shell["OMP_NUM_THREADS"] = "1"
        tests = " ".join(TESTS)
        said = check_shell(
            f"python -m pytest -q -p no:cacheprovider -o addopts=--import-mode=importlib {tests}",
            ROOT,
            shell,
            "tests",
        )
        assert re.search(r"\d{3,} passed", said), said[-2000:]


def constraints() -> str:
    """The versions that the project is tested with."""
    return Path(os.path.join(ROOT, "constraints.txt")).read_text("utf-8")
