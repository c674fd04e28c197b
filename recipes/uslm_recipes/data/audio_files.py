"""Reads one recording for a corpus, or says what is wrong with it; without torch, to start fast."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from uslm_recipes.data.corpus_format import FULL_SCALE
from uslm_recipes.data.recording import Segment
from uslm_tokenizer.audio.bytes import end_of_first, mended
from uslm_tokenizer.audio.decode import go_to, open_sound
from uslm_tokenizer.audio.sniff import SNIFFED_BYTES, sniff
from uslm_tokenizer.errors import AudioError

CLIPPING_LEVEL = 0.95
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 4_000, 768_000
UNKNOWN_FRAMES = 2**62
"""libsndfile has more where a stream does not tell its length."""


@dataclass(frozen=True, kw_only=True)
class AudioLimits:
    """Limits for recordings that enter a corpus."""

    sample_rate: int = 16_000
    """Samples per second of the corpus, Hz; recordings of other rates are resampled."""
    hop_length: int = 320
    """Recordings are cut to a multiple of so many samples."""
    min_seconds: float = 0.4
    max_seconds: float = 20.0
    silence_dbfs: float = -60.0
    """A recording whose loudest sample is below this is silent."""
    max_clipped_share: float = 0.01
    """A recording of which more was cut off at its loudest level is clipped."""


def read_samples(
    path: Path, limits: AudioLimits, segment: Segment | None = None
) -> NDArray[np.int16]:
    """The recording as mono samples at the corpus rate; AudioError says why it cannot be used."""
    import soundfile

    segment = segment or Segment()
    if segment.data is None and not os.path.isfile(path):  # Path.is_file raises at long names
        raise AudioError("is a link to nowhere" if os.path.islink(path) else "no such file")
    head = b""
    try:
        with _opened(path, segment) as file:
            head = file.read(SNIFFED_BYTES)
            size = file.seek(0, os.SEEK_END)
            if end_of_first(file, head, size) < size:
                raise AudioError("holds two recordings, one after the other")
            file.seek(0)
            is_plain = segment.data is None and segment.num_bytes is None
            # Straight from the disk it is faster; what has to be mended passes through here.
            if is_plain and mended(head, size) == head:
                sound = soundfile.SoundFile(str(path))
            else:
                sound = open_sound(file, "it", head, size)
            with sound:
                data, rate = _read_segment(sound, segment, limits.max_seconds), sound.samplerate
    except (soundfile.SoundFileError, RuntimeError, OSError) as problem:
        found = sniff(head)
        words = " ".join(str(problem).split()) if found.readable or not head else found.words
        raise AudioError(f"unreadable: {words}") from problem
    share = clipped_share(data)
    if share > limits.max_clipped_share:
        raise AudioError(f"clipped: {100 * share:.1f} % of it is cut off at the loudest level")
    return _checked(_to_int16(data, rate, limits.sample_rate), limits)


def _read_segment(sound: Any, segment: Segment, max_seconds: float) -> NDArray[np.float32]:
    rate = sound.samplerate
    if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        raise AudioError(f"sample rate is {rate} Hz")
    start = min(round(segment.start_seconds * rate), sound.frames)
    stop = sound.frames
    if segment.stop_seconds is not None:
        stop = min(round(segment.stop_seconds * rate), stop)
    # A frame over the limit is rounding, not length.
    longest = int((max_seconds + 0.02) * rate)
    if stop - start > longest and stop < UNKNOWN_FRAMES:
        raise AudioError(f"{(stop - start) / rate:.1f} s is longer than {max_seconds:g} s")
    if start:
        go_to(sound, start, "it")
    # Not as int16: there libsndfile lets loud Opus and Vorbis wrap around.
    data: NDArray[np.float32] = sound.read(min(max(0, stop - start), longest + 1), dtype="float32")
    if len(data) > longest:
        raise AudioError(f"it is longer than {max_seconds:g} s")
    return data


def clipped_share(data: NDArray[np.float32]) -> float:
    """Share of samples that stand beside an equal one at the very top or bottom of the range."""
    level = np.abs(data).max(initial=0.0)
    if level < CLIPPING_LEVEL:
        return 0.0
    data = data.reshape(len(data), -1)
    flat = (data[1:] == data[:-1]) & (np.abs(data[1:]) >= level * (1 - 1e-4))
    # Codecs round the flat tops off, but never bring their sound to stand above the range.
    over = np.abs(data[1:]) > 1.0
    return float((flat | over).mean()) if len(flat) else 0.0


def _opened(path: Path, segment: Segment) -> BinaryIO:
    if segment.data is not None:
        return io.BytesIO(segment.data)
    archive = path.open("rb")
    if segment.num_bytes is None:
        return archive
    with archive:
        size = archive.seek(0, os.SEEK_END)
        if segment.offset + segment.num_bytes > size:
            raise AudioError(f"segment ends after its file of {size} bytes")
        archive.seek(segment.offset)
        return io.BytesIO(archive.read(segment.num_bytes))


def _to_int16(data: NDArray[np.float32], rate: int, target: int) -> NDArray[np.int16]:
    import soxr

    mono = data if data.ndim == 1 else data.mean(axis=1)
    if not np.isfinite(mono).all():
        raise AudioError("has samples that are not finite")
    if rate != target and len(mono):
        mono = soxr.resample(mono, rate, target)
    return np.clip(np.rint(mono * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def _checked(samples: NDArray[np.int16], limits: AudioLimits) -> NDArray[np.int16]:
    seconds = len(samples) / limits.sample_rate
    if seconds < limits.min_seconds:
        raise AudioError(f"{seconds:.2f} s is shorter than {limits.min_seconds:g} s")
    longest = int(limits.max_seconds * limits.sample_rate)
    usable = min(len(samples), longest) // limits.hop_length * limits.hop_length
    peak = int(np.abs(samples[:usable].astype(np.int32)).max(initial=0))
    if peak <= FULL_SCALE * 10 ** (limits.silence_dbfs / 20):
        raise AudioError("silent")
    return samples[:usable]
