"""Reads one recording for a corpus, or says what is wrong with it; without torch, to start fast."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uslm_recipes.data.corpus_format import FULL_SCALE
from uslm_recipes.data.recording import Piece
from uslm_tokenizer.errors import AudioError

CLIPPING_LEVEL = 0.95


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
    max_clipped_share: float = 0.01
    """A recording of which more was cut off at its loudest level is clipped."""


def read_samples(path: Path, limits: AudioLimits, piece: Piece | None = None) -> NDArray[np.int16]:
    """The recording as mono samples at the corpus rate; AudioError says why it cannot be used."""
    import soundfile

    piece = piece or Piece()
    if piece.data is None and not path.is_file():
        raise AudioError("no such file")
    try:
        with soundfile.SoundFile(_opened(path, piece)) as file:
            rate = file.samplerate
            start = min(round(piece.start_seconds * rate), file.frames)
            stop = file.frames
            if piece.stop_seconds is not None:
                stop = min(round(piece.stop_seconds * rate), stop)
            # A frame over the limit is rounding, not length.
            if (stop - start) / rate > limits.max_seconds + 0.02:
                raise AudioError(
                    f"{(stop - start) / rate:.1f} s is longer than {limits.max_seconds:g} s"
                )
            if start:
                file.seek(start)
            # Not as int16: there libsndfile lets loud Opus and Vorbis wrap around.
            data = file.read(stop - start, dtype="float32")
    except (soundfile.SoundFileError, RuntimeError, OSError) as problem:
        raise AudioError(f"unreadable: {' '.join(str(problem).split())}") from problem
    share = clipped_share(data)
    if share > limits.max_clipped_share:
        raise AudioError(f"clipped: {100 * share:.1f} % of it is cut off at the loudest level")
    return _checked(_to_int16(data, rate, limits.sample_rate), limits)


def clipped_share(data: NDArray[np.float32]) -> float:
    """Share of samples that stand beside an equal one at the very top or bottom of the range."""
    data = data.reshape(len(data), -1)
    level = np.abs(data).max(initial=0.0)
    if level < CLIPPING_LEVEL:
        return 0.0
    flat = (data[1:] == data[:-1]) & (np.abs(data[1:]) >= level * (1 - 1e-4))
    # Codecs round the flat tops off, but never bring their sound to stand above the range.
    over = np.abs(data[1:]) > 1.0
    return float((flat | over).mean()) if len(flat) else 0.0


def _opened(path: Path, piece: Piece) -> str | io.BytesIO:
    if piece.data is not None:
        return io.BytesIO(piece.data)
    if piece.num_bytes is None:
        return str(path)
    with path.open("rb") as archive:
        archive.seek(piece.offset)
        return io.BytesIO(archive.read(piece.num_bytes))


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
