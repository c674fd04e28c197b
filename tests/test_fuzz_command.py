"""The command that counts hostile inputs names tests that are there, and sees a failure."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "tests" / "fuzz.py"))


def test_its_files_are_there() -> None:
    for path in SCRIPT["FUZZERS"].values():
        assert "@given" in (ROOT / path).read_text("utf-8")


def test_inputs_and_failures_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, body in {"good": "x == x", "bad": "x < 10"}.items():
        (tmp_path / f"test_{name}.py").write_text(
            "from hypothesis import given, settings, strategies as st\n"
            "@settings(max_examples=30, derandomize=True, database=None, deadline=None)\n"
            "@given(x=st.integers(0, 100))\n"
            f"def test_x(x):\n    assert {body}\n"
        )
    command = SCRIPT["main"].__globals__
    monkeypatch.setitem(command, "ROOT", tmp_path)
    monkeypatch.setitem(command, "FUZZERS", {"good": "test_good.py"})
    assert SCRIPT["main"]([]) == 0
    assert "good       30 inputs  0 failures" in capsys.readouterr().out
    monkeypatch.setitem(command, "FUZZERS", {"good": "test_good.py", "bad": "test_bad.py"})
    assert SCRIPT["main"]([]) == 1
    shown = capsys.readouterr().out
    assert "assert 10 < 10" in shown
    [bad] = [line for line in shown.splitlines() if line.startswith("bad ")]
    assert not bad.endswith(" 0 failures")
