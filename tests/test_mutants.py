"""The list of mutants is kept: each still applies, and names tests that are there.

Whether they are killed says `python tests/mutants.py`, which takes too long for here.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "tests" / "mutants.py"))
MUTANTS = SCRIPT["read"]()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant["name"])
def test_a_mutant_applies_and_has_tests(mutant: dict[str, str]) -> None:
    assert SCRIPT["applies"](mutant), f"{mutant['file']} has changed: write the mutant anew"
    assert mutant["before"] != mutant["after"]
    for test in mutant["tests"].split():
        path, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / path).read_text("utf-8")


def test_every_package_has_mutants() -> None:
    for package in ("uslm", "tokenizer", "recipes", "app", "demo"):
        assert sum(mutant["file"].startswith(f"{package}/") for mutant in MUTANTS) >= 2


def test_the_command_tells_them_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that a test notices, one that none does, and one whose text is gone."""
    test = tmp_path / "test_it.py"
    test.write_text("from it import x\ndef test_x():\n    assert x == 1\n", "utf-8")
    (tmp_path / "it.py").write_text("x = 1\ny = 2\n", "utf-8")
    row = {"breaks": "something", "file": "it.py", "tests": "test_it.py::test_x"}
    changes = {"seen": ("x = 1", "x = 3"), "unseen": ("y = 2", "y = 3"), "gone": ("z = 1", "z = 2")}
    rows = [
        {"name": name, "before": before, "after": after, **row}
        for name, (before, after) in changes.items()
    ]
    script = SCRIPT["main"].__globals__
    monkeypatch.setitem(script, "ROOT", tmp_path)
    monkeypatch.setitem(script, "read", lambda: rows)
    assert SCRIPT["main"]([]) == 1
    said = capsys.readouterr().out
    assert [line.split(":")[0].split()[-1] for line in said.splitlines()[:3]] == list(changes)
    assert said.splitlines()[-1] == "1 killed, 1 survived, 1 no longer applies"
    assert (SCRIPT["main"](["gone", "--check"]), SCRIPT["main"](["seen", "--check"])) == (1, 0)
