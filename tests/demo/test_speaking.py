"""What the buttons do: progress comes segment by segment, and mistakes are named."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from uslm.voices.prompt import VoicePrompt
from uslm_demo.limits import Limits
from uslm_demo.model import Model
from uslm_demo.results import result_files
from uslm_demo.speaking import Made, SpeakOptions, check_text, convert, read_seed, speak
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.errors import AudioError, TextError, UserError

TEXT = "This is the first sentence of them all. Here is the second one, no shorter."


@pytest.fixture(scope="module")
def made(model: Model, voice: VoicePrompt) -> Made:
    *_, last = speak(model, TEXT, voice, SpeakOptions(seed=5))
    assert last.made is not None
    return last.made


def test_speaking_is_what_the_library_speaks(model: Model, voice: VoicePrompt, made: Made) -> None:
    speech = model.tts().generate(TEXT, voice, seed=5)
    assert torch.equal(made.speech.codes, speech.codes)
    torch.testing.assert_close(made.speech.waveform, speech.waveform, atol=1e-5, rtol=1e-4)
    assert made.speech.segments == speech.segments
    assert made.speech.settings == speech.settings
    assert sum(segment.num_frames for segment in made.segments) == speech.codes.shape[1]
    assert [segment.phonemes for segment in made.segments] == [
        each.phonemes for each in speech.segments
    ]


def test_progress_comes_segment_by_segment(model: Model, voice: VoicePrompt) -> None:
    received: list[torch.Tensor] = []
    options = SpeakOptions(seed=5, temperature=0.5, top_k=3, top_p=0.9, verify=True)
    steps = list(speak(model, TEXT, voice, options, on_audio=received.append))
    done = [len(step.segments) for step in steps]
    assert done[-1] == 2
    assert all(before <= after <= before + 1 for before, after in pairwise(done))
    assert "1 of 2 segments" in " ".join(step.status for step in steps)
    assert [step.made is None for step in steps] == [True] * (len(steps) - 1) + [False]
    last = steps[-1]
    assert all(segment.phoneme_error_rate is not None for segment in last.segments)
    assert last.made is not None
    assert torch.equal(torch.cat(received, dim=1), last.made.speech.waveform)
    assert "Seed 5" in last.status


def test_the_work_ends_with_the_iterator(model: Model, voice: VoicePrompt) -> None:
    before = model.engine().stats().cancelled
    steps = speak(model, TEXT * 20, voice)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    *_, last = speak(model, "A short one.", voice)  # the engine has had its turn
    assert last.made is not None
    assert model.engine().stats().cancelled == before + 1


def test_conversion_keeps_the_length(model: Model, voice: VoicePrompt, recording: Path) -> None:
    *_, last = convert(model, str(recording), voice, seed=1)
    assert last.made is not None
    assert last.made.speech.seconds == pytest.approx(4, abs=0.05)
    limits = Limits(max_source_seconds=2.0)
    *_, last = convert(model, str(recording), voice, limits=limits)
    assert last.made is not None
    assert last.made.speech.seconds == pytest.approx(2, abs=0.05)
    assert "Only the first 2 s" in last.status
    with pytest.raises(AudioError, match="recording to convert"):
        list(convert(model, None, voice))


def test_texts_are_checked_without_weights(bundle_folder: Path) -> None:
    unloaded = Model(str(bundle_folder))
    check_text(unloaded, "*** Hello.", 20)
    for text, message in (
        ("  ", "something to say"),
        ("? ! ***", "something to say|spoken|pronounced"),
        ("[pause:99] hello", "pause"),
        ("hello hello hello hello", "may have 20 characters, but has 23"),
    ):
        with pytest.raises(TextError, match=message):
            check_text(unloaded, text, 20)
    check_text(unloaded, "[anna] Hi.", 20, ("anna",))
    with pytest.raises(TextError, match=r"\[bob\]"):
        check_text(unloaded, "[bob] Hi.", 20, ("anna",))
    assert not unloaded.is_loaded


def test_files_live_as_long_as_they_are_needed(made: Made) -> None:
    with result_files(made.speech) as files:
        assert files.wav.name == "uslm-5.wav"
        seconds = read_audio(files.wav).seconds
        assert seconds == pytest.approx(made.speech.seconds, abs=0.001)
        assert json.loads(files.json.read_text())["seed"] == 5
        assert "first sentence" in files.srt.read_text()
    assert not files.wav.parent.exists()


def test_seeds_are_read_exactly() -> None:
    assert read_seed(" 9007199254740993 ") == 9007199254740993
    assert read_seed("") is None
    with pytest.raises(UserError, match="whole number or empty"):
        read_seed("1.5")
    with pytest.raises(UserError, match="whole number from 0"):
        read_seed("-1")
