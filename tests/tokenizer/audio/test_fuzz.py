"""Whatever bytes are given as a recording: it is read, or refused as no recording."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.errors import AudioError

CODINGS = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "MS_ADPCM"), ("WAVEX", "PCM_24"),
           ("RF64", "PCM_16"), ("W64", "PCM_16"), ("AIFF", "PCM_16"), ("AU", "PCM_16"),
           ("CAF", "ALAC_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"),
           ("MP3", "MPEG_LAYER_III"), ("VOC", "PCM_16"), ("NIST", "PCM_16")]  # fmt: skip


def recording(format: str, subtype: str) -> bytes:
    file = io.BytesIO()
    samples = 0.3 * np.sin(np.arange(4_000) * 0.05)
    soundfile.write(file, samples, 16_000, format=format, subtype=subtype)
    return file.getvalue()


WHOLE = [recording(*coding) for coding in CODINGS]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A recording with some bytes changed, cut out or put in, most of them in its header."""
    data = bytearray(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, 128) | st.integers(0, len(data)))
        new = draw(st.binary(max_size=8) | st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\x7f"]))
        data[place : place + draw(st.sampled_from([len(new), 0, 40]))] = new
    return bytes(data)


@settings(max_examples=300)
@given(data=damaged() | st.binary(max_size=80), limit=st.sampled_from([None, 0.05, 10.0]))
def test_recordings(data: bytes, limit: float | None) -> None:
    try:
        audio = read_audio(data, max_seconds=limit)
    except AudioError as problem:
        assert str(problem).startswith(("the audio given as bytes", "the sample rate of"))
    else:
        assert audio.waveform.isfinite().all() and audio.waveform.abs().max() <= 1
        assert audio.waveform.shape[0] == 1 and audio.waveform.shape[1] > 0


@pytest.mark.parametrize("coding", CODINGS)
def test_every_recording_is_read_when_it_is_whole(coding: tuple[str, str]) -> None:
    assert read_audio(recording(*coding)).seconds == pytest.approx(0.25, abs=0.1)
