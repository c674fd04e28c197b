"""Speech made faster, slower, higher or lower: more speakers than there were."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from uslm_recipes.data.corpus_format import FULL_SCALE
from uslm_tokenizer.errors import UserError

GRAIN_SECONDS = 0.015  # half a grain: some periods of a low voice lie in a whole one
SEARCH_SECONDS = 0.0075


@dataclass(frozen=True)
class Perturbation:
    """Difference of a copy of a recording from it."""

    speed: float = 1.0
    """As of a tape: twice as fast is also an octave higher."""
    semitones: float = 0.0
    """Pitch alone, at the same tempo."""

    def __post_init__(self) -> None:
        if not 0.5 <= self.speed <= 2:
            raise UserError(f"speed must be in 0.5..2, but is {self.speed:g}")
        if not -12 <= self.semitones <= 12:
            raise UserError(f"pitch must be in -12..12 semitones, but is {self.semitones:g}")

    @property
    def mark(self) -> str:
        """Behind the names of the copy and of its speaker, who is another one."""
        parts = [f"speed{self.speed:g}"] * (self.speed != 1)
        parts += [f"pitch{self.semitones:+g}"] * (self.semitones != 0)
        return "#" + "".join(parts)

    def __call__(self, samples: NDArray[np.int16], sample_rate: int) -> NDArray[np.int16]:
        """The copy."""
        waveform: NDArray[np.float32] = (samples / FULL_SCALE).astype(np.float32)
        if self.semitones:
            ratio = 2 ** (self.semitones / 12)
            waveform = change_speed(change_tempo(waveform, 1 / ratio, sample_rate), ratio)
            waveform = np.pad(waveform, (0, 16))[: len(samples)]  # rounding took some
        if self.speed != 1:
            waveform = change_speed(waveform, self.speed)
        scaled = np.rint(waveform * FULL_SCALE)
        return np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def change_speed(waveform: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Played `factor` times as fast; pitch rises with it."""
    import soxr

    unit = 1_000_000.0  # only the quotient of the rates counts
    changed: NDArray[np.float32] = soxr.resample(waveform, unit * factor, unit)
    return changed


def change_tempo(
    waveform: NDArray[np.float32], factor: float, sample_rate: int
) -> NDArray[np.float32]:
    """Spoken `factor` times as fast at the same pitch, by WSOLA (Verhelst and Roelands, 1993).

    Grains are laid out anew; each is taken from where it goes on most like the one before it.
    """
    hop, search = round(GRAIN_SECONDS * sample_rate), round(SEARCH_SECONDS * sample_rate)
    length = round(len(waveform) / factor)
    window = np.hanning(2 * hop + 1)[:-1].astype(np.float32)
    padded = np.pad(waveform, (search + hop, search + 4 * hop))
    changed = np.zeros(length + 3 * hop, dtype=np.float32)
    previous = search
    for place in range(0, length + hop, hop):
        first = min(round((place - hop) * factor) + hop, len(padded) - 2 * (search + hop))
        expected = padded[previous + hop : previous + 3 * hop]
        region = padded[max(first, 0) : max(first, 0) + 2 * (search + hop)]
        if place and len(expected) == 2 * hop:
            start = max(first, 0) + int(np.correlate(region, expected, "valid").argmax())
        else:
            start = search
        changed[place : place + 2 * hop] += window * padded[start : start + 2 * hop]
        previous = start
    return changed[hop : hop + length]
