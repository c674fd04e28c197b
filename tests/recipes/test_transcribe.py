"""Texts for recordings without one: only what is asked for, resumed, and nothing lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import soundfile

from uslm.systems.two_stage.tiny import speech_like
from uslm_recipes.commands import transcribe as command
from uslm_recipes.commands.transcribe import main, transcribe
from uslm_tokenizer.errors import MissingResource, UserError


class Listener:
    """Hears how long each recording is; stops as a killed run does after so many batches."""

    def __init__(self, batches: int = 99) -> None:
        self.batches, self.heard = batches, 0

    def __call__(self, waveforms: Sequence[Any]) -> list[str]:
        if not self.batches:
            raise KeyboardInterrupt
        self.batches -= 1
        self.heard += len(waveforms)
        return [f"{len(waveform)} samples" for waveform in waveforms]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    lines: list[dict[str, Any]] = []
    for number, more in enumerate(
        [
            {"speaker": "ls/1"},
            {"speaker": "ls/1", "text": "Known."},
            {"speaker": "de/1", "language": "de"},
            {"speaker": "vctk/1", "text": "", "language": "en-gb"},
        ]
    ):
        soundfile.write(
            tmp_path / f"{number}.wav", speech_like(0.5, 8000).waveform[0].numpy(), 8000
        )
        lines.append({"audio": f"{number}.wav", **more})
    path = tmp_path / "speech.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n", "utf-8")
    return path


def texts(path: Path) -> list[str]:
    return [json.loads(line).get("text", "") for line in path.read_text("utf-8").splitlines()]


def test_english_without_a_text_is_heard_at_16_khz(manifest: Path) -> None:
    out = manifest.with_name("out.jsonl")
    assert transcribe(manifest, out, Listener()) == (2, 4)  # type: ignore[arg-type]
    assert texts(out) == ["8000 samples", "Known.", "", "8000 samples"]
    first = json.loads(out.read_text("utf-8").splitlines()[0])
    assert Path(first["audio"]) == (manifest.parent / "0.wav").resolve()


def test_speakers_by_the_beginning_of_their_names(manifest: Path) -> None:
    out = manifest.with_name("out.jsonl")
    transcribe(manifest, out, Listener(), ["vctk/"])  # type: ignore[arg-type]
    assert texts(out) == ["", "Known.", "", "8000 samples"]


def test_an_interrupted_run_goes_on_where_it_was(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "BATCH", 1)
    out, first, second = manifest.with_name("out.jsonl"), Listener(2), Listener()
    with pytest.raises(KeyboardInterrupt):
        transcribe(manifest, out, first)  # type: ignore[arg-type]
    assert not out.exists()
    transcribe(manifest, out, second)  # type: ignore[arg-type]
    assert texts(out) == ["8000 samples", "Known.", "", "8000 samples"]
    assert first.heard + second.heard == 2


def test_bad_lines_and_recordings_are_named(manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(MissingResource, match=r"no manifest .*none\.jsonl"):
        transcribe(tmp_path / "none.jsonl", out, Listener())  # type: ignore[arg-type]
    (tmp_path / "0.wav").write_bytes(b"no sound")
    with pytest.raises(UserError, match=r"0\.wav: "):
        transcribe(manifest, out, Listener())  # type: ignore[arg-type]
    manifest.write_text('{"speaker": "ls/1"}\n', "utf-8")
    with pytest.raises(UserError, match=r"speech\.jsonl:1: audio must be a string"):
        transcribe(manifest, tmp_path / "other.jsonl", Listener())  # type: ignore[arg-type]


def test_a_model_that_is_not_there_is_named(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", str(manifest.parent / "none"), "--out", str(manifest.parent / "out.jsonl")]
    assert main([str(manifest), *words]) == 2
    assert "no Whisper model" in capsys.readouterr().err
