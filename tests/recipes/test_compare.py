"""Runs side by side: settings that differ, last values; runs of other data are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from uslm_recipes.commands.compare import main

VALUES = {"loss": 1.25, "codes_used": 14.0, "minutes": 3.0}


def run(folder: Path, control: str, *, sha: str = "a", values: dict[str, float] | None) -> str:
    checkpoint = folder / "checkpoints" / "step-00000008"
    checkpoint.mkdir(parents=True)
    config = {"stages": {"control": control, "first_share": 0.4}, "loop": {"seed": 0}}
    state = {"config": config, "data": {"corpora": [sha]}}
    (checkpoint / "state.json").write_text(json.dumps(state))
    lines = [{"kind": "train", "step": 1, "loss": 9.0}]
    if values is not None:
        lines += [{"kind": "valid", "loss": 5.0}, {"kind": "valid", **values}]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(folder)


def test_an_arm_and_its_controls_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arm = run(tmp_path / "arm", "none", values=VALUES)
    cut = run(tmp_path / "cut", "gradient cut", values={"loss": 1.5, "predictability": 0.3})
    out = tmp_path / "page.md"
    assert main([arm, cut, "--out", str(out)]) == 0
    table = capsys.readouterr().out
    assert table == out.read_text()
    assert table.splitlines() == [
        "| run | `stages.control` | loss | codes_used | predictability |",
        "|---|---|---|---|---|",
        f"| {arm} | none | 1.25 | 14 |  |",
        f"| {cut} | gradient cut | 1.5 |  | 0.3 |",
    ]


def test_what_cannot_be_compared_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arm = run(tmp_path / "arm", "none", values=VALUES)
    other = run(tmp_path / "other", "frozen", sha="b", values=VALUES)
    assert main([arm, other]) == 1
    assert 'has {"corpora": ["b"]} and' in capsys.readouterr().err
    assert main([arm, run(tmp_path / "young", "none", values=None)]) == 1
    assert "was never validated" in capsys.readouterr().err
    assert main([arm, str(tmp_path / "gone")]) == 2
    assert "holds no run" in capsys.readouterr().err
