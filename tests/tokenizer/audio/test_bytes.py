"""Recordings whose bytes and header disagree: what can be heard is read, the rest is told."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from uslm_tokenizer.audio.bytes import BLOCK_BYTES, mended
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.errors import AudioError

RATE = 16_000
CODINGS = [("WAV", "PCM_16"), ("AIFF", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"),
           ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]  # fmt: skip


def encoded(seconds: float = 0.5, format: str = "WAV", subtype: str = "PCM_16") -> bytes:
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, int(seconds * RATE))
    file = io.BytesIO()
    soundfile.write(file, samples.astype(np.float32), RATE, format=format, subtype=subtype)
    return file.getvalue()


def with_sizes(wav: bytes, riff: int, data: int, before: bytes = b"") -> bytes:
    """The WAV as a stream writes it, `before` being chunks between its format and its samples."""
    riff_bytes, data_bytes = struct.pack("<I", riff), struct.pack("<I", data)
    return wav[:4] + riff_bytes + wav[8:36] + before + b"data" + data_bytes + wav[44:]


@pytest.mark.parametrize("riff", [0, 36, None])
@pytest.mark.parametrize("before", [b"", b"LIST\x05\0\0\0abcde\0"])
def test_a_wav_whose_sizes_were_left_open(tmp_path: Path, riff: int | None, before: bytes) -> None:
    wav = encoded()
    streamed = with_sizes(wav, len(wav) - 8 if riff is None else riff, 0, before)
    path = tmp_path / "a.wav"
    path.write_bytes(streamed)
    for source in (path, streamed, io.BytesIO(streamed)):
        audio = read_audio(source)
        assert audio.waveform.equal(read_audio(wav).waveform)
        assert audio.source is not None and audio.source.complete and not audio.source.warnings


@pytest.mark.parametrize("after", [b"", b"LIST\x04\0\0\0abcd"])
def test_a_wav_without_samples_stays_one(after: bytes) -> None:
    empty = with_sizes(encoded()[:44], 36 + len(after), 0) + after
    assert mended(empty, len(empty)) == empty
    with pytest.raises(AudioError, match="without a single sample"):
        read_audio(empty)


@pytest.mark.parametrize(("format", "subtype"), CODINGS)
def test_a_second_recording_in_the_file_is_told(format: str, subtype: str) -> None:
    one = encoded(format=format, subtype=subtype)
    first, both = read_audio(one), read_audio(one + one)
    assert both.waveform.equal(first.waveform)
    assert first.source is not None and both.source is not None
    assert not first.source.warnings
    [warning] = both.source.warnings
    assert "another recording after the first" in warning


def test_the_second_is_found_far_behind_and_across_two_blocks() -> None:
    one = encoded(40, "FLAC")
    assert len(one) > BLOCK_BYTES
    for cut in (1, 4, 7):  # bytes of its beginning that lie in the first block
        padding = bytes(2 * BLOCK_BYTES - len(one) - cut)
        source = read_audio(one + padding + one).source
        assert source is not None and source.warnings
        source = read_audio(one + padding).source
        assert source is not None and not source.warnings


def test_bytes_behind_a_wav_that_are_no_recording_are_passed_over() -> None:
    audio = read_audio(encoded() + b"TAG" + bytes(125))
    assert audio.source is not None and not audio.source.warnings
