"""Any recording is read as it is, and whatever is not one is named for what it is."""

import io
import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from uslm_tokenizer.audio.decode import READABLE_WORDS
from uslm_tokenizer.audio.read import read_audio, resample
from uslm_tokenizer.errors import AudioError, MissingResource

RATE = 16_000
CODINGS = [
    ("wav", "WAV", "PCM_16", 1e-4),
    ("wav", "WAV", "PCM_24", 1e-4),
    ("wav", "WAV", "PCM_U8", 1e-2),
    ("wav", "WAV", "FLOAT", 1e-6),
    ("wav", "WAV", "ULAW", 5e-2),
    ("wav", "WAVEX", "PCM_16", 1e-4),
    ("w64", "W64", "PCM_16", 1e-4),
    ("flac", "FLAC", "PCM_16", 1e-4),
    ("aiff", "AIFF", "PCM_16", 1e-4),
    ("au", "AU", "PCM_16", 1e-4),
    ("caf", "CAF", "ALAC_16", 1e-4),
    ("ogg", "OGG", "VORBIS", 0.1),
    ("opus", "OGG", "OPUS", 0.1),
    ("mp3", "MP3", "MPEG_LAYER_III", 0.1),
]


def tone(seconds: float = 1.0, rate: int = RATE, peak: float = 0.5) -> np.ndarray:
    time = np.arange(int(seconds * rate)) / rate
    return (peak * np.sin(2 * np.pi * 220 * time)).astype(np.float32)


def encoded(samples: np.ndarray, rate: int = RATE, format: str = "WAV", subtype: str = "PCM_16"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, subtype=subtype)
    return file.getvalue()


def wav_header(rate: int = RATE, channels: int = 1, data_bytes: int = 4_000) -> bytes:
    head = struct.pack("<4sI4s4sI", b"RIFF", 36 + data_bytes, b"WAVE", b"fmt ", 16)
    head += struct.pack("<HHIIHH", 1, channels, rate, 2 * rate * channels, 2 * channels, 16)
    return head + struct.pack("<4sI", b"data", data_bytes)


@pytest.mark.parametrize(("suffix", "format", "subtype", "tolerance"), CODINGS)
def test_reads_every_common_coding(
    tmp_path: Path, suffix: str, format: str, subtype: str, tolerance: float
) -> None:
    path = tmp_path / f"tone.{suffix}"
    path.write_bytes(encoded(tone(), format=format, subtype=subtype))
    audio = read_audio(path)
    assert audio.sample_rate == RATE
    assert audio.waveform.shape == (1, RATE)
    assert audio.waveform.dtype == torch.float32
    inner = slice(200, -200)  # libsndfile's Opus encoder spoils the last 5 ms
    assert np.abs(audio.waveform[0].numpy() - tone())[inner].max() < tolerance
    assert audio.source is not None
    assert (audio.source.format, audio.source.subtype) == (format, subtype)
    assert audio.source.complete and not audio.source.warnings


def test_path_bytes_and_open_files_are_read_alike(tmp_path: Path) -> None:
    data = encoded(tone())
    path = tmp_path / "voice.raw"  # the suffix does not matter, the content does
    path.write_bytes(data)
    expected = read_audio(path).waveform
    moved = io.BytesIO(data)
    moved.seek(100)
    with open(path, "rb") as file:
        for source in (str(path), data, io.BytesIO(data), moved, file):
            assert torch.equal(read_audio(source).waveform, expected)


def test_a_pipe_is_read_too() -> None:
    reading, writing = os.pipe()
    data = encoded(tone(0.3))

    def feed() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(data)

    thread = threading.Thread(target=feed)
    thread.start()
    with os.fdopen(reading, "rb") as pipe:
        assert read_audio(pipe).seconds == pytest.approx(0.3)
    thread.join()


@pytest.mark.parametrize("rate", [4_000, 11_025, 44_100, 48_000, 96_000, 768_000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_any_rate_and_channel_count(rate: int, channels: int) -> None:
    data = encoded(np.stack([tone(0.2, rate)] * channels, axis=1), rate)
    audio = read_audio(data)
    assert audio.sample_rate == rate
    assert audio.source is not None and audio.source.channels == channels
    at_model_rate = audio.resampled(RATE)
    assert at_model_rate.waveform.shape[-1] == pytest.approx(0.2 * RATE, abs=2)
    middle = slice(800, 2400)
    assert np.abs(at_model_rate.waveform[0, middle].numpy() - tone(0.2)[middle]).max() < 0.01


def test_memory_follows_what_is_asked_for_not_the_file(tmp_path: Path) -> None:
    """An hour of 8 channels, of which three seconds are decoded."""
    path = tmp_path / "hour.wav"
    rate, channels = 48_000, 8
    data_bytes = 3_600 * rate * channels * 2
    with open(path, "wb") as file:
        file.write(wav_header(rate, channels, data_bytes))
        file.truncate(44 + data_bytes)  # a hole: nothing is on the disk
    audio = read_audio(path, max_seconds=3.0)
    assert audio.waveform.shape == (1, 3 * rate)
    assert audio.source is not None
    assert audio.source.seconds == 3_600 and not audio.source.complete


def test_a_limit_beyond_the_end_changes_nothing() -> None:
    data = encoded(tone(), format="FLAC")
    audio = read_audio(data, max_seconds=1.0)
    assert audio.source is not None and audio.source.complete
    assert torch.equal(audio.waveform, read_audio(data, max_seconds=9.0).waveform)


def test_opposite_channels_do_not_cancel() -> None:
    stereo = np.stack([tone(), -tone()], axis=1)
    audio = read_audio(encoded(stereo))
    assert float(audio.waveform.abs().max()) > 0.49
    assert audio.source is not None and "opposite phase" in audio.source.warnings[0]


def test_one_live_channel_of_eight_is_kept() -> None:
    channels = np.zeros((RATE, 8), np.float32)
    channels[:, 3] = tone()
    audio = read_audio(encoded(channels))
    assert float(audio.waveform.abs().max()) == pytest.approx(0.5 / 8, rel=1e-2)
    assert audio.source is not None and not audio.source.warnings


def test_beyond_full_scale_is_turned_down() -> None:
    audio = read_audio(encoded(tone(peak=20_000.0), subtype="FLOAT"))
    assert float(audio.waveform.abs().max()) == 1
    assert audio.source is not None and "beyond full scale" in audio.source.warnings[0]


@pytest.mark.parametrize(("format", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16")])
def test_the_rest_of_a_truncated_file_is_read(format: str, subtype: str) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * RATE)
    data = encoded(noise, format=format, subtype=subtype)
    audio = read_audio(data[: len(data) // 2])
    assert 0.8 < audio.seconds < 1.7
    assert audio.source is not None and "truncated or damaged" in audio.source.warnings[0]


def test_a_streamed_wav_without_a_length_is_whole() -> None:
    data = bytearray(encoded(tone()))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    audio = read_audio(bytes(data))
    assert audio.seconds == 1
    assert audio.source is not None and audio.source.complete and not audio.source.warnings


def not_finite() -> bytes:
    samples = tone()
    samples[100:142], samples[200] = np.nan, np.inf
    return encoded(samples, subtype="FLOAT")


WHOLE = encoded(tone(3.0))
REFUSED = {
    "empty.wav": (b"", r"is empty \(0 bytes\)"),
    "text.wav": (b"It was a bright cold day in April.\n" * 40, r"is text, which cannot be read"),
    "latin.wav": ("é".encode() * 400, r"is text"),
    "zeros.wav": (bytes(4_000), r"nothing but zero bytes"),
    "garbage.wav": (np.random.default_rng(1).bytes(4_000), r"not known"),
    "voice.m4a": (b"\x00\x00\x00\x20ftypM4A \x00\x00\x00\x00" + bytes(400), r"an M4A file"),
    "voice.mp4": (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00" + bytes(400), r"an MP4 file"),
    "voice.webm": (b"\x1a\x45\xdf\xa3" + bytes(400), r"WebM or Matroska.*ffmpeg"),
    "voice.aac": (b"\xff\xf1\x50\x80" + bytes(400), r"a raw AAC stream.*ffmpeg"),
    "voice.wma": (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(400), r"Windows Media"),
    "voice.amr": (b"#!AMR\n" + bytes(400), r"an AMR file"),
    "picture.wav": (b"\x89PNG\r\n\x1a\n" + bytes(400), r"a PNG picture"),
    "header.wav": (wav_header(data_bytes=0), r"without a single sample"),
    "cut.wav": (WHOLE[:1_000], r"truncated or damaged: 0.03 s .* at least 0.1 s"),
    "cut.flac": (encoded(tone(), format="FLAC")[:60], r"begins as a FLAC file, but is damaged"),
    "cut.ogg": (encoded(tone(), format="OGG", subtype="VORBIS")[:60], r"begins as an Ogg file"),
    "slow.wav": (wav_header(rate=1) + bytes(4_000), r"4,000 to 768,000 Hz, but is 1 Hz"),
    "fast.wav": (wav_header(rate=800_000) + bytes(4_000), r"but is 800,000 Hz"),
    "nan.wav": (not_finite(), r"holds 43 samples that are NaN or infinite"),
}


@pytest.mark.parametrize("file_name", REFUSED)
def test_what_is_refused_is_named(tmp_path: Path, file_name: str) -> None:
    data, message = REFUSED[file_name]
    path = tmp_path / file_name
    path.write_bytes(data)
    with pytest.raises(AudioError, match=message) as caught:
        read_audio(path)
    assert file_name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_refusals_say_what_may_be_given(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="is a folder") as caught:
        read_audio(tmp_path)
    assert READABLE_WORDS in str(caught.value)


def test_a_missing_file_suggests_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "speaker.wav").write_bytes(encoded(tone(0.2)))
    with pytest.raises(MissingResource, match=r"did you mean .*speaker\.wav"):
        read_audio(tmp_path / "speeker.wav")
    with pytest.raises(MissingResource, match="there is no folder"):
        read_audio(tmp_path / "nowhere" / "speaker.wav")
    with pytest.raises(AudioError, match="cannot be opened"):
        read_audio("nul\0byte.wav")


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_limits_are_positive(seconds: float) -> None:
    with pytest.raises(AudioError, match="max_seconds must be above 0"):
        read_audio(encoded(tone(0.2)), max_seconds=seconds)


@pytest.mark.parametrize(("format", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16")])
def test_damaged_bytes_never_crash(format: str, subtype: str) -> None:
    """Either an error of ours or finite audio, whatever byte is wrong."""
    data = encoded(tone(0.3), format=format, subtype=subtype)
    random = np.random.default_rng(2)
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(3):
            damaged[random.integers(0, 120)] = random.integers(0, 256)
        try:
            audio = read_audio(bytes(damaged), max_seconds=1.0)
        except AudioError:
            continue
        assert torch.isfinite(audio.waveform).all() and float(audio.waveform.abs().max()) <= 1


def test_resample_keeps_shape_device_and_equal_rates() -> None:
    waveform = torch.from_numpy(tone())[None, None].expand(2, 3, -1)
    assert resample(waveform, RATE, RATE) is waveform
    assert resample(waveform, RATE, 24_000).shape == (2, 3, 24_000)
    with pytest.raises(AudioError, match="4,000 to 768,000 Hz"):
        resample(waveform, RATE, 0)


@pytest.mark.parametrize("hiss", [0.0, 1e-3])
def test_a_silent_beginning_is_passed_over(tmp_path: Path, hiss: float) -> None:
    silence = hiss * np.random.default_rng(0).uniform(-1, 1, 70 * RATE)
    path = tmp_path / "late.flac"
    path.write_bytes(encoded(np.concatenate([silence, tone(3)]), format="FLAC"))
    plain = read_audio(path, max_seconds=60.0)
    assert plain.waveform.abs().max() <= hiss + 1e-4
    audio = read_audio(path, max_seconds=60.0, silent_dbfs=-45.0)
    assert audio.source is not None and audio.source.complete
    assert audio.source.seconds == pytest.approx(73) and audio.seconds < 6
    begin = 70 - audio.source.start_seconds
    sound = audio.waveform[0, round(begin * RATE) :].numpy()
    assert begin > 0 and np.abs(sound - tone(3)).max() < 1e-3


def test_silence_alone_is_read_from_its_beginning(tmp_path: Path) -> None:
    audio = read_audio(encoded(np.zeros(5 * RATE)), max_seconds=2.0, silent_dbfs=-45.0)
    assert audio.source is not None and audio.source.start_seconds == 0 and audio.seconds == 2
