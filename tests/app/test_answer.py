"""`uslm answer`: what is written, in whose voice, and mistakes in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from uslm import SpeechAnswerer
from uslm.systems.dual_speech.tiny import save_tiny_dual_speech

Uslm = Callable[..., Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_dual_speech(tmp_path_factory.mktemp("dual_speech"))


def test_a_question_is_answered_as_the_library_does(
    uslm: Uslm, tiny_files: Path, model: Path, tmp_path: Path
) -> None:
    question = tiny_files / "prompt.wav"
    given = ("--model", model, "--seed", 3, "--format", "wav-float", "--json")
    result = uslm("answer", "--audio", question, *given, "--out", "a.wav", "--sidecar")
    assert result.code == 0, result.stderr
    record = json.loads(result.out)
    assert json.loads((tmp_path / "a.wav.json").read_text()) == record
    answerer = SpeechAnswerer.from_pretrained(model)
    speech = answerer.answer(question, seed=3)
    assert record["written"] == speech.written and record["voice"] == ""
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert rate == speech.sample_rate and np.array_equal(samples, speech.waveform[0].numpy())
    more = ("--text", "Who is it?", "--voice", "ben", "--out", "b.wav")
    result = uslm("answer", *more, *given)
    assert result.code == 0, result.stderr
    speech = answerer.answer(text="Who is it?", voice=answerer.stock_voice("ben"), seed=3)
    assert json.loads(result.out)["voice"] == "ben"
    samples, _ = soundfile.read(tmp_path / "b.wav", dtype="float32")
    assert np.array_equal(samples, speech.waveform[0].numpy())


def test_mistakes_are_one_line(uslm: Uslm, tiny_files: Path, model: Path, tmp_path: Path) -> None:
    more = ("--model", model, "--out", "a.wav")
    question = ("--audio", tiny_files / "prompt.wav")
    uslm("answer", *more).assert_refused(1, "--audio or as --text")
    uslm("answer", *question, "--text", "Who?", *more).assert_refused(1, "--audio or as --text")
    uslm("answer", "--text", "Who?", *more).assert_refused(1, "give --voice")
    uslm("answer", "--text", " ", "--voice", "ben", *more).assert_refused(1, "must have words")
    uslm("answer", "--audio", "gone.wav", *more).assert_refused(2, "the question")
    refused = uslm("answer", *question, "--model", tiny_files / "model", "--out", "a.wav")
    refused.assert_refused(1, "answers no questions; train one that does with train_dual_speech")
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    refused = uslm("answer", "--audio", "silent.wav", *more)
    refused.assert_refused(1, "the recording is silent")
    assert not (tmp_path / "a.wav").exists()
