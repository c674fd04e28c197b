"""Reads one recording for a corpus, or says what is wrong with it; without torch, to start fast."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uslm_recipes.data.corpus_format import FULL_SCALE
from uslm_tokenizer.errors import AudioError


@dataclass(frozen=True, kw_only=True)
class AudioLimits:
    """What a recording must be to enter a corpus."""

    sample_rate: int = 16_000
    """Samples a second of the corpus, Hz; recordings of other rates are resampled."""
    hop_length: int = 320
    """Recordings are cut to a multiple of so many samples."""
    min_seconds: float = 0.4
    max_seconds: float = 20.0
    silence_dbfs: float = -60.0
    """A recording whose loudest sample is below this is silent."""


def read_samples(path: Path, limits: AudioLimits) -> NDArray[np.int16]:
    """The recording as mono samples at the corpus rate; AudioError says why it cannot be used."""
    import soundfile

    if not path.is_file():
        raise AudioError("no such file")
    try:
        info = soundfile.info(str(path))
        # A frame over the limit is rounding, not length.
        if info.frames / info.samplerate > limits.max_seconds + 0.02:
            raise AudioError(
                f"{info.frames / info.samplerate:.1f} s is longer than {limits.max_seconds:g} s"
            )
        # Not as int16: there libsndfile lets loud Opus and Vorbis wrap around.
        data, rate = soundfile.read(str(path), dtype="float32")
    except (soundfile.SoundFileError, RuntimeError, OSError) as problem:
        raise AudioError(f"unreadable: {' '.join(str(problem).split())}") from problem
    return _checked(_to_int16(data, rate, limits.sample_rate), limits)


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
