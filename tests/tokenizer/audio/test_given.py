"""Recordings as callers have them: each form is the same sound; what is none is refused by name."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from uslm_tokenizer.audio.given import given_audio
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.errors import AudioError

RATE = 16_000
WAVE = np.sin(np.arange(4000) * 0.1).astype(np.float32) * 0.5
STEREO = np.stack([WAVE, np.zeros_like(WAVE)])
DECODER = SimpleNamespace(
    get_all_samples=lambda: SimpleNamespace(data=torch.from_numpy(WAVE)[None], sample_rate=RATE)
)
FORMS: dict[str, tuple[Any, int | None]] = {
    "array with rate": (WAVE, RATE),
    "tensor with rate": (torch.from_numpy(WAVE)[None], RATE),
    "array, rate": ((WAVE, RATE), None),
    "rate, array": ((RATE, WAVE), None),
    "list of numbers": ((WAVE.tolist(), RATE), None),
    "column first": ((WAVE[:, None], RATE), None),
    "audio column": ({"array": WAVE, "sampling_rate": RATE, "path": "x.wav"}, None),
    "decoder": (DECODER, None),
    "doubles": ((WAVE.astype(np.float64), np.int64(RATE)), None),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_sound(form: str) -> None:
    audio = given_audio(*FORMS[form])
    assert isinstance(audio, Audio) and audio.sample_rate == RATE
    assert audio.waveform.dtype == torch.float32
    np.testing.assert_array_equal(audio.waveform.numpy(), WAVE[None])


@pytest.mark.parametrize(
    ("dtype", "offset", "scale"),
    [(np.int16, 0, 2**15), (np.int32, 0, 2**31), (np.uint8, 128, 128), (np.int8, 0, 128)],
)
def test_integers_are_at_full_scale(dtype: Any, offset: int, scale: int) -> None:
    whole = (WAVE.astype(np.float64) * (scale - 1) + offset).astype(dtype)
    audio = given_audio((RATE, whole))
    assert isinstance(audio, Audio)
    np.testing.assert_allclose(audio.waveform.numpy(), WAVE[None], atol=1.5 / scale + 1e-6)


@pytest.mark.parametrize("samples", [STEREO, STEREO.T])
def test_channels_are_mixed(samples: Any) -> None:
    audio = given_audio((samples, RATE))
    assert isinstance(audio, Audio)
    np.testing.assert_allclose(audio.waveform.numpy(), WAVE[None] / 2)


def test_files_pass_as_they_are() -> None:
    file = io.BytesIO(b"RIFF")
    for source in ("a.wav", Path("a.wav"), b"RIFF", file):
        assert given_audio(source) is source
    assert given_audio({"bytes": b"RIFF", "path": "a.wav"}) == b"RIFF"
    assert given_audio({"bytes": None, "path": "a.wav"}) == "a.wav"


@pytest.mark.parametrize(
    ("given", "rate", "words"),
    [
        (WAVE, None, "needs its rate"),
        ("a.wav", RATE, "goes with an array"),
        ((WAVE, 1.5), None, "must be a path"),
        ((WAVE, True), None, "must be a path"),
        ((WAVE, 10), None, "from 4000 to 768000 Hz"),
        ((WAVE * 30_000, RATE), None, r"reach 15000|reach 14\d\d\d"),
        ((WAVE * np.nan, RATE), None, "finite"),
        ((WAVE.astype(complex), RATE), None, "complex128"),
        ((np.zeros((20, 20)), RATE), None, r"but are \[20, 20\]"),
        ((np.zeros(0, np.float32), RATE), None, r"but are \[1, 0\]"),
        (([[1.0], [1.0, 2.0]], RATE), None, "make no array"),
        ({"array": None}, None, "holds \\['array'\\]"),
        (7, None, "but is a int"),
    ],
)
def test_what_is_no_sound_is_refused(given: Any, rate: int | None, words: str) -> None:
    with pytest.raises(AudioError, match=words):
        given_audio(given, rate)
