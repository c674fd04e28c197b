"""benchmarks/train.py measures every variant; tiny, so it promises nothing about speed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark(load_script: Callable[[Path], ModuleType]) -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    module = load_script(BENCHMARKS / "train.py")
    sys.path.remove(str(BENCHMARKS))
    return module


def test_every_variant_has_a_line(
    benchmark: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark.main(["--sizes", "tiny", "--seconds", "0.01", "--device", "cpu"]) == 0
    table = capsys.readouterr().out
    rows = [row.split(" | ") for row in table.splitlines() if "eager" in row]
    named = [(row[0].removeprefix("| "), row[2].removeprefix("eager, ")) for row in rows]
    assert named == [
        *(("units", batches) for batches in ("alike", "random")),
        ("codec", "alike"),
        ("waveform_codec", "alike"),
        *(("ar", batches) for batches in ("alike", "random")),
        *(("nar", batches) for batches in ("alike", "packed", "random")),
    ]
    padding = {name: float(row[6].rstrip("%")) for name, row in zip(named, rows, strict=True)}
    assert padding["nar", "packed"] <= padding["nar", "alike"]
    for row in rows:
        assert float(row[3]) > 0 and float(row[9].rstrip("% |")) > 0


def test_missed_goals_are_named(benchmark: ModuleType) -> None:
    common = {"variant": "eager, alike", "frames_per_second": 1.0, "peak": 1e15}
    found = [
        benchmark.Measured(
            recipe=recipe, size=size, steps_per_second=steps, padding=0.1, flops_per_second=flops,
            **common,
        )
        for recipe, size, steps, flops in (
            ("ar", "base", 1.0, 0.5e15),
            ("nar", "base", 1.0, 0.3e15),
            ("codec", "mini", 7.0, 1e12),
        )
    ]  # fmt: skip
    assert list(benchmark.misses(found)) == [
        "nar at base: MFU 27.0%, goal 40%",
        "codec at mini: 7.0 steps/s, goal 20",
    ]
