"""A pretrained system from its folder, through the commands: it speaks, converts and imitates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile

from uslm.systems.two_stage.tiny import speech_like
from uslm.systems.vevo.tiny import save_tiny_vevo

Uslm = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, seconds in (("prompt", 2.0), ("source", 1.0)):
        audio = speech_like(seconds)
        soundfile.write(tmp_path / f"{name}.wav", audio.waveform[0].numpy(), audio.sample_rate)
    return save_tiny_vevo(tmp_path / "vevo")


def test_it_speaks(uslm: Uslm, folder: Path, tmp_path: Path) -> None:
    arguments = ("--text", "Hi.", "--prompt", "prompt.wav", "--prompt-text", "This is a test.")
    result = uslm("say", *arguments, "--out", "a.wav", "--seed", 1, "--model", folder)
    assert result.code == 0, result.stderr
    assert soundfile.info(tmp_path / "a.wav").samplerate == 24_000


@pytest.mark.parametrize("imitate", ["timbre", "both"])
def test_it_converts_what_is_asked_for(uslm: Uslm, folder: Path, imitate: str) -> None:
    arguments = ("--source", "source.wav", "--prompt", "prompt.wav", "--imitate", imitate)
    result = uslm("convert", *arguments, "--out", "a.wav", "--json", "--model", folder)
    assert result.code == 0, result.stderr
    record = json.loads(result.out)
    assert record["model"] == "vevo" and record["settings"] == {"imitate": imitate}
    if imitate == "timbre":
        assert record["seconds"] == pytest.approx(1.0)


def test_what_a_model_cannot_imitate_is_refused(uslm: Uslm, tiny_files: Path) -> None:
    arguments = (
        "--source",
        tiny_files / "prompt.wav",
        "--voice",
        tiny_files / "babble.safetensors",
    )
    result = uslm(
        "convert",
        *arguments,
        "--imitate",
        "style",
        "--out",
        "a.wav",
        "--model",
        tiny_files / "model",
    )
    result.assert_refused(1, "imitate must be one of ['timbre']", "'style'")
