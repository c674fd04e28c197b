"""The tracks of the token view lie on one time axis."""

# ruff: noqa: RUF001 (phonemes look like other characters)

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
import torch

from uslm.voices.phoneme_error_rate import PHONEMES
from uslm.voices.prompt import VoicePrompt
from uslm.voices.verification import find_recognizer
from uslm_demo import tokens
from uslm_demo.model import Model
from uslm_demo.speaking import Made, SpeakOptions, speak
from uslm_demo.tokens import NUM_MELS, phoneme_spans, speech_view
from uslm_demo.widgets.sounds import Sounds


@pytest.fixture(scope="module")
def made(model: Model, voice: VoicePrompt) -> Made:
    *_, last = speak(model, "This is the first of all. And this one the second.", voice,
                     SpeakOptions(seed=5))  # fmt: skip
    assert last.made is not None
    return last.made


def test_everything_has_its_place(model: Model, made: Made) -> None:
    tokenizer = model.tts().synthesizer.tokenizer
    assert tokenizer is not None
    view = speech_view(made, tokenizer, Sounds())
    num_prompt, num_spoken = made.voice.codes.shape[1], made.speech.codes.shape[1]
    assert view["start"] == -num_prompt / tokenizer.frame_rate
    assert view["end"] == pytest.approx(num_spoken / tokenizer.frame_rate)
    kinds = [track["kind"] for track in view["tracks"]]
    assert kinds == ["wave", "mel", "spans", *["codes"] * tokenizer.num_codebooks]
    labels = [track["label"] for track in view["tracks"]]
    assert labels[:4] == ["waveform", "mel", "phonemes", "units"]
    for codebook, track in enumerate(view["tracks"][3:]):
        assert len(track["codes"]) == num_prompt + num_spoken
        assert track["codes"][num_prompt:] == made.speech.codes[codebook].tolist()
    mel = view["tracks"][1]
    columns = len(base64.b64decode(mel["data"])) / NUM_MELS
    assert columns == pytest.approx(100 * (view["end"] - view["start"]), abs=1)
    spans = view["tracks"][2]["spans"]
    assert spans
    assert all(view["start"] <= begin <= end <= view["end"] for begin, end, _ in spans)
    assert [begin for begin, *_ in spans] == sorted(begin for begin, *_ in spans)


def test_only_the_beginning_of_long_speech_is_shown(
    model: Model, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "MAX_SECONDS", 0.2)
    view = speech_view(made, model.tts().synthesizer.tokenizer, Sounds())
    assert view["end"] == pytest.approx(0.2)


def test_converted_speech_is_listened_to(model: Model, made: Made) -> None:
    view = speech_view(replace(made, segments=()), model.tts().synthesizer.tokenizer, Sounds())
    assert view["tracks"][2]["kind"] == "spans"


def test_without_a_tokenizer_the_finished_speech_is_shown(made: Made) -> None:
    view = speech_view(made, None, Sounds())
    assert view["start"] == 0
    assert view["end"] == pytest.approx(made.speech.seconds)
    codes = view["tracks"][-1]
    assert len(codes["codes"]) / codes["rate"] == pytest.approx(view["end"])


def test_phonemes_lie_where_they_are_heard(model: Model) -> None:
    phoneme_recognizer = find_recognizer(model.tts().synthesizer.tokenizer)  # type: ignore[arg-type]
    assert phoneme_recognizer is not None
    units = torch.zeros(40, dtype=torch.long)
    ids = PHONEMES.encode("həlˈoʊː wɜːld.")
    spans = phoneme_spans(phoneme_recognizer, units, ids, 50.0)
    assert "".join(name for *_, name in spans) == "həloʊːwɜːld"
    assert all(begin < end for begin, end, _ in spans)
    assert spans[-1][1] <= 0.8
    assert phoneme_spans(phoneme_recognizer, units[:3], ids, 50.0) == []
    assert phoneme_spans(phoneme_recognizer, units, [], 50.0) == []
