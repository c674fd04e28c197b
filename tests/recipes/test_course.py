"""The course of a run for a page: which lines of its log are shown, and where they are put."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from uslm_recipes.commands.course import changed_runs, main

DOCS = Path(__file__).parents[2] / "docs"
MACHINE = {"kind": "machine", "step": 0, "cpu": "Some CPU", "cores": 2, "threads": 1, "torch": "2"}
PAGE = "Before.\n\n<!-- run: vae -->\nold\n<!-- end -->\n\nAfter.\n"


def run(folder: Path, *, steps: int = 9) -> str:
    checkpoint = folder / "checkpoints" / "step-00000009"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text(json.dumps({"config": {"batch_size": 8}, "data": {}}))
    records: list[dict[str, object]] = [MACHINE]
    for step in range(1, steps + 1):
        speed = {"steps_per_second": 3.0, "learning_rate": 0.1, "minutes": step / 4, "mfu": 0.25}
        records.append({"kind": "train", "step": step, "loss": 10.0 - step, "mel": 0.5, **speed})
        if step in (3, 7):
            records.append({"kind": "valid", "step": step, "loss": step * 1.5, "codes_used_0": 9})
        if step == 4:
            records.append({"kind": "resume", "step": step, "checkpoint": "step-00000004"})
    (folder / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(folder)


def test_five_places_of_a_run_and_its_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Held out is what was validated since the place before; codes in use are left out."""
    assert main([f"vae={run(tmp_path / 'vae')}"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "| step | minutes | loss | mel | held out: loss |",
        "|---|---|---|---|---|",
        "| 1 | 0.2 | 9 | 0.5 |  |",
        "| 3 | 0.8 | 7 | 0.5 | 4.5 |",
        "| 5 | 1.2 | 5 | 0.5 |  |",
        "| 7 | 1.8 | 3 | 0.5 | 10.5 |",
        "| 9 | 2.2 | 1 | 0.5 |  |",
        "",
        "Some CPU, 2 cores, 1 thread, torch 2, 8 crops in a batch, 25 % of the device's measured "
        "peak; stopped and resumed 1 time.",
    ]
    assert main([f"vae={run(tmp_path / 'short', steps=2)}"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row.split()[1] for row in rows] == ["step", "1", "2"]


def test_a_page_gets_the_run_in_its_place(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    folder = run(tmp_path / "vae")
    for _ in range(2):  # once more changes nothing
        assert main([f"vae={folder}", "--into", str(page)]) == 0
    written = page.read_text()
    assert written.startswith("Before.\n\n<!-- run: vae -->\n\n| step | minutes |")
    assert written.endswith(" -->\n<!-- end -->\n\nAfter.\n") and "old" not in written
    assert changed_runs(written) == [] and changed_runs(PAGE) == ["vae"]
    assert changed_runs(written.replace("| 9 | 2.2 | 1 |", "| 9 | 2.2 | 0.9 |")) == ["vae"]


PAGES = sorted(path for path in DOCS.rglob("*.md") if "<!-- run: " in path.read_text("utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.name))
def test_runs_of_our_pages_are_as_they_were_printed(page: Path) -> None:
    assert changed_runs(page.read_text("utf-8")) == []


def test_what_has_no_place_and_no_log_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    folder = run(tmp_path / "vae")
    assert main([f"flow={folder}", "--into", str(page)]) == 1
    assert "must have one <!-- run: flow -->, but has 0" in capsys.readouterr().err
    assert page.read_text() == PAGE
    assert main([f"vae={tmp_path / 'gone'}"]) == 2
    assert "holds no run" in capsys.readouterr().err
    (tmp_path / "young").mkdir()
    (tmp_path / "young" / "log.jsonl").write_text(json.dumps(MACHINE) + "\n")
    assert main([f"vae={tmp_path / 'young'}"]) == 1
    assert "has no line of training" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([folder])
