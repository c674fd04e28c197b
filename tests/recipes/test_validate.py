"""Validation: each bad recording is in the report with its line, and nothing ends the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from uslm_recipes.commands.validate import main
from uslm_recipes.data.audio_files import clipped_share
from uslm_recipes.data.checks import TextRules, order_problem, text_problem

RATE = 16_000


def sound(path: Path, seconds: float, level: float = 0.3, pitch: float = 0.05) -> None:
    wave = level * np.sin(np.arange(round(seconds * RATE)) * pitch)
    soundfile.write(path, np.clip(wave, -1, 1), RATE)


def report(folder: Path) -> dict[str, str]:
    rows = map(json.loads, (folder / "report/report.jsonl").read_text().splitlines())
    return {row["where"]: row["reason"] for row in rows}


def run(folder: Path, rows: list[dict[str, Any] | str], *arguments: str) -> int:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "m.jsonl").write_text("\n".join(lines))
    out = str(folder / "report")
    return main([str(folder / "m.jsonl"), "--out", out, "--workers", "0", *arguments])


def test_every_kind_of_bad_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.wav").write_text("this is no audio")
    sound(tmp_path / "silent.wav", 1, level=0)
    sound(tmp_path / "clipped.wav", 1, level=3)
    sound(tmp_path / "good.wav", 1)
    sound(tmp_path / "again.wav", 1)
    sound(tmp_path / "long.wav", 7)
    sound(tmp_path / "last.wav", 1.5)
    names = ["text", "silent", "clipped", "good", "again", "good", "long", "missing"]
    rows: list[dict[str, Any] | str] = [
        *({"audio": f"{n}.wav", "speaker": "s", "text": "Ja.", "language": "de"} for n in names),
        {"audio": "last.wav", "speaker": "s"},
        "{nonsense",
        {"audio": "last.wav", "speaker": "s", "id": "x", "text": "a" * 99, "language": "de"},
        {"audio": "last.wav", "speaker": "s", "id": "y", "segment": {"colour": 1}},
    ]  # fmt: skip
    assert run(tmp_path, rows) == 0
    expected = [
        "unreadable", "silent", "clipped", None, "duplicate: the same sound as m.jsonl:4",
        "duplicate: an earlier", "text of 3 characters is too short", "no such file", "empty text",
        "not JSON", "does not fit", "segment must be",
    ]  # fmt: skip
    reasons = report(tmp_path)
    for line, reason in enumerate(expected, start=1):
        assert (reason or "") in reasons.get(f"m.jsonl:{line}", ""), line
        assert (reason is None) == (f"m.jsonl:{line}" not in reasons), line
    said = capsys.readouterr().out
    assert "1 of 12 recordings are good" in said and "8.33 % silent" in said


def test_the_good_ones_can_be_gone_through_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound(tmp_path / "a.wav", 3)
    segment = {"start_seconds": 1.0, "stop_seconds": 2.0}
    rows: list[dict[str, Any] | str] = [
        {"audio": "a.wav", "speaker": "s", "id": "1", "segment": segment},
        {"audio": "a.wav", "speaker": "s", "id": "2", "split": "test"},
    ]
    assert run(tmp_path, rows, "--without-text") == 0
    manifest = tmp_path / "report/manifest.jsonl"
    again = tmp_path / "again"
    arguments = ["--manifest", str(manifest), "--out", str(again), "--workers", "0"]
    assert main([*arguments, "--without-text"]) == 0
    assert (again / "manifest.jsonl").read_text() == manifest.read_text()
    assert capsys.readouterr().out.count("2 of 2 recordings are good, 0.00 h") == 2


def lengths(number: int = 64) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Texts, and recordings that take about as long as they."""
    random = np.random.default_rng(0)
    texts = random.integers(10, 150, number)
    return texts, texts / 14 * random.uniform(0.8, 1.2, number) + 0.5


@pytest.mark.parametrize("shift", [-3, -1, 1, 2, 5])
def test_texts_that_slipped_are_told(shift: int) -> None:
    texts, seconds = lengths()
    assert order_problem(texts.tolist(), seconds.tolist()) is None
    side = "later" if shift > 0 else "earlier"
    problem = order_problem(np.roll(texts, -shift).tolist(), seconds.tolist())
    assert f"wrong order: they fit recordings {abs(shift)} lines {side}" in str(problem)


def test_shuffled_texts_are_told() -> None:
    texts, seconds = lengths()
    random = np.random.default_rng(1)
    reported = [
        order_problem(random.permutation(texts).tolist(), seconds.tolist()) for _ in range(50)
    ]
    assert sum("wrong order" in str(each) for each in reported) > 40


def test_texts_of_one_length_or_a_few_say_nothing_of_their_order() -> None:
    assert order_problem([20] * 64, list(range(64))) is None
    assert order_problem([1, 20, 5], [9, 1, 3]) is None


def test_slipped_texts_are_quarantined_and_the_rest_is_good(tmp_path: Path) -> None:
    texts, seconds = lengths(128)
    seconds = seconds / 2  # little to write
    rows: list[dict[str, Any] | str] = []
    for i, length in enumerate(seconds):
        sound(tmp_path / f"{i}.wav", length, pitch=0.05 + i / 10_000)
        text = "a" * int((texts if i < 64 else np.roll(texts, 1))[i] // 2)
        rows.append({"audio": f"{i}.wav", "speaker": "s/1", "text": text, "language": "de"})
    assert run(tmp_path, rows) == 0
    reasons = report(tmp_path)
    disordered = [where for where, reason in reasons.items() if "wrong order" in reason]
    assert disordered == [f"m.jsonl:{line}" for line in range(65, 129)]


@pytest.mark.parametrize(("level", "clipped"), [(0.5, False), (1.0, False), (1.2, True), (3, True)])
@pytest.mark.parametrize("top", [0.97, 1.0])
def test_what_is_clipped(level: float, clipped: bool, top: float) -> None:
    wave = np.clip(level * np.sin(np.arange(RATE) * 0.051), -1, 1).astype(np.float32) * top
    stored = (np.rint(wave * 32767) / 32768).astype(np.float32)
    assert (clipped_share(stored) > 0.01) == clipped


def test_rules_of_text() -> None:
    rules = TextRules(needs_text=True)
    assert text_problem("", 0, 1.0, rules) == "empty text"
    assert text_problem("", 0, 1.0, TextRules()) is None
    assert text_problem("hello", 5, 1.0, rules) is None
    assert "5 phonemes does not fit" in str(text_problem("hello", 5, 0.1, rules))
