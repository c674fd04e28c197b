"""Speech is marked on request, and the mark is found by uslm watermark detect."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from uslm.output import watermark
from uslm.systems.two_stage.tiny import speech_like

Uslm = Callable[..., Any]


class Offset:
    """A stand-in for PerTh: a constant that no speech has."""

    name = "offset"

    def mark(self, waveform: Any, sample_rate: int) -> Any:
        return waveform + 0.25

    def score(self, waveform: Any, sample_rate: int) -> float:
        return float(waveform.mean() > 0.2)


@pytest.fixture
def offset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watermark.Perth, "from_package", Offset)


@pytest.mark.usefixtures("offset")
def test_marked_speech_is_found_and_other_speech_is_not(say: Uslm, uslm: Uslm) -> None:
    text = "Hello there, my dear friends, and good morning to you all."
    for name, more in (("a.wav", ["--watermark", "--sidecar"]), ("b.wav", [])):
        result = say("--text", text, "--out", name, "--format", "wav-float", *more)
        assert result.code == 0, result.stderr
    marked, plain = (soundfile.read(name, dtype="float32")[0] for name in ("a.wav", "b.wav"))
    np.testing.assert_allclose(marked, plain + 0.25, atol=1e-6)
    assert json.loads(Path("a.wav.json").read_text())["settings"]["watermark"] == "offset"
    assert uslm("watermark", "detect", "a.wav").out == (
        "a.wav: watermark found in all of it, score 1.00 of 1\n"
    )
    record = json.loads(uslm("watermark", "detect", "b.wav", "--json").out)
    assert (record["found"], record["score"]) == (False, 0.0) and len(record["windows"]) == 1
    assert "b.wav: no watermark found" in uslm("watermark", "detect", "b.wav").out


@pytest.mark.usefixtures("offset")
def test_converted_speech_is_marked(uslm: Uslm, tiny_files: Path) -> None:
    arguments = (
        "--source",
        tiny_files / "prompt.wav",
        "--voice",
        tiny_files / "babble.safetensors",
    )
    more = ("--out", "a.wav", "--watermark", "--json", "--model", tiny_files / "model")
    result = uslm("convert", *arguments, *more)
    assert result.code == 0, result.stderr
    assert json.loads(result.out)["settings"]["watermark"] == "offset"
    assert soundfile.read("a.wav")[0].mean() > 0.2


def test_without_the_package_nothing_is_spoken(
    say: Uslm, uslm: Uslm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(watermark, "find_spec", lambda name: None)
    result = say("--text", "Hi.", "--out", "a.wav", "--watermark")
    result.assert_refused(3, "pip install 'uslm[watermark]'")
    assert not list(tmp_path.iterdir())
    speech = speech_like(1.5)
    soundfile.write("b.wav", speech.waveform[0].numpy(), speech.sample_rate)
    uslm("watermark", "detect", "b.wav").assert_refused(3, "uslm[watermark]")


def test_the_help_says_what_it_is_worth(uslm: Uslm) -> None:
    text = uslm("watermark", "detect", "--help").out
    assert "whoever wants to can remove it" in text and "says nothing" in text


def test_what_is_no_recording_is_refused(uslm: Uslm) -> None:
    uslm("watermark", "detect", "gone.wav").assert_refused(2, "'gone.wav' is not there")
