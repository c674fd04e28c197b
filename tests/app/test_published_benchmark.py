"""benchmarks/published.py measures what it says; tiny, so it promises nothing about speed."""

from __future__ import annotations

import argparse
import runpy
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_every_section_measures_and_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    sections: Any = import_module("published_sections")
    monkeypatch.setattr(sections, "CODECS", ("wavtokenizer-small-75", "speechtokenizer"))
    options = argparse.Namespace(tiny=True, dtype="float32", repeats=1, seconds=0.1)
    found = {name: sections.MEASURES[name](options) for name in ("uslm", "maskgct", "codecs")}
    found["uslm"]["machine"] = "this one"
    assert all(seconds > 0 for seconds in found["uslm"]["step_seconds"])
    assert found["maskgct"]["stages"]["t2s"]["steps"] == [25]
    assert set(found["codecs"]["codecs"]["speechtokenizer"]["rates"]) == {
        "encode 1", "decode 1", "encode 8", "decode 8",
    }  # fmt: skip
    script = runpy.run_path(str(BENCHMARKS / "published.py"))
    goals = script["uslm_goals"](found["uslm"])
    table = "\n".join(script["report"](found, goals))
    assert table.count("| wavtokenizer-small-75 |") == 1 and "| t2s |" in table
    assert table.count("missed") + table.count("| met |") == len(goals) == 2
