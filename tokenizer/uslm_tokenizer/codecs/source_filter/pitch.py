"""F0 of speech by autocorrelation, and its codes.

The method is Boersma's (1993, "Accurate short-term analysis of the fundamental frequency and the
harmonics-to-noise ratio of a sampled sound"), with the costs that Praat has as its defaults.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from uslm_tokenizer.errors import ConfigError

MAX_CANDIDATES = 15
"""Of one frame, the unvoiced one among them."""
SILENCE_THRESHOLD = 0.03
"""Peak of a frame, as a share of the loudest, below which it is likely silence."""
VOICING_THRESHOLD = 0.45
"""Strength that a periodic candidate has to beat."""
OCTAVE_COST = 0.01
"""Favour of high candidates per octave: a period's double is a period, too."""
OCTAVE_JUMP_COST = 0.35
"""Cost of a change of F0 between frames, per octave."""
VOICING_COST = 0.14
"""Cost of a change between voiced and unvoiced."""
COSTS_ARE_FOR = 0.01
"""Seconds between frames for which the two costs above are meant."""
PERIODS_PER_WINDOW = 3


@dataclass(frozen=True, kw_only=True)
class PitchConfig:
    """How F0 is found and coded."""

    floor: float = 65.0
    """Lowest F0 that is looked for, Hz."""
    ceiling: float = 500.0
    """Highest F0 that is looked for, Hz."""
    lowest: float = 60.0
    """F0 of code 1, Hz; code 0 is unvoiced."""
    steps_per_octave: int = 24
    """Codes in an octave; 24 are half of a half-tone each."""
    num_steps: int = 77
    """Codes from 1 on."""

    def __post_init__(self) -> None:
        if not 0 < self.floor < self.ceiling:
            raise ConfigError(f"floor must be above 0 and below ceiling, but is {self.floor}")
        if self.lowest <= 0 or self.steps_per_octave < 1 or self.num_steps < 1:
            raise ConfigError(
                "lowest, steps_per_octave and num_steps must be above 0, but are "
                f"{self.lowest}, {self.steps_per_octave} and {self.num_steps}"
            )

    def encode(self, f0: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """The nearest code; 0 where F0 is 0."""
        steps = (f0.clamp(min=self.lowest) / self.lowest).log2() * self.steps_per_octave
        return torch.where(f0 > 0, 1 + steps.round().long().clamp(max=self.num_steps - 1), 0)

    def decode(self, codes: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """F0 in Hz; 0 where unvoiced."""
        f0 = self.lowest * torch.exp2((codes.float() - 1) / self.steps_per_octave)
        return torch.where(codes > 0, f0, 0.0)


def estimate_f0(
    waveform: Float[Tensor, " n"], sample_rate: int, hop_length: int, config: PitchConfig
) -> Float[Tensor, " t"]:
    """F0 at the middle of each hop, Hz, 0 where unvoiced; t = ceil(n / hop_length)."""
    samples = waveform.numpy(force=True).astype(np.float64)
    num_frames = -(-len(samples) // hop_length)
    peak = float(np.abs(samples - samples.mean()).max())
    if peak == 0:
        return waveform.new_zeros(num_frames, dtype=torch.float32)
    window_length = round(PERIODS_PER_WINDOW / config.floor * sample_rate)
    frames = _cut(samples, window_length, hop_length, num_frames)
    loudness = _local_peaks(frames, round(sample_rate / config.floor)) / peak
    correlation = _autocorrelation(frames)
    f0, strength = _candidates(correlation, loudness, sample_rate, config)
    path = _best_path(f0, strength, hop_length / sample_rate)
    chosen = f0[np.arange(num_frames), path]
    return torch.from_numpy(chosen.astype(np.float32)).to(waveform.device)


def _cut(
    samples: NDArray[np.float64], length: int, hop_length: int, num_frames: int
) -> NDArray[np.float64]:
    """Windows around the middle of each hop, each with its mean taken off."""
    before = length // 2 - hop_length // 2
    after = max(0, (num_frames - 1) * hop_length + length - before - len(samples))
    padded = np.pad(samples, (max(before, 0), after))[max(-before, 0) :]
    starts = np.arange(num_frames) * hop_length
    frames = padded[starts[:, None] + np.arange(length)]
    centred: NDArray[np.float64] = frames - frames.mean(axis=1, keepdims=True)
    return centred


def _local_peaks(frames: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """The loudest sample within one longest period around the middle."""
    middle = frames.shape[1] // 2
    near = frames[:, max(0, middle - period // 2) : middle + period // 2 + 1]
    peaks: NDArray[np.float64] = np.abs(near).max(axis=1)
    return peaks


def _autocorrelation(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each windowed frame, divided by the window's own (eq. 9 of the paper), 1 at lag 0."""
    length = frames.shape[1]
    window = np.hanning(length)
    size = 1 << (2 * length - 1).bit_length()
    spectrum = np.fft.rfft(frames * window, size)
    raw = np.fft.irfft(np.abs(spectrum) ** 2, size)[:, :length]
    own = np.fft.irfft(np.abs(np.fft.rfft(window, size)) ** 2, size)[:length]
    energy = np.maximum(raw[:, :1], np.finfo(np.float64).tiny)
    # Towards the window's length its own autocorrelation vanishes; no lag in use lies there.
    normal: NDArray[np.float64] = raw / energy / np.maximum(own / own[0], 1e-3)
    return normal


def _candidates(
    correlation: NDArray[np.float64],
    loudness: NDArray[np.float64],
    sample_rate: int,
    config: PitchConfig,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """F0 and strength of the best candidates of each frame; the first, of 0 Hz, is unvoiced."""
    shortest = max(2, int(sample_rate / config.ceiling))
    longest = min(correlation.shape[1] - 2, int(np.ceil(sample_rate / config.floor)))
    lags = np.arange(shortest, longest + 1)
    left, here, right = (correlation[:, lags + step] for step in (-1, 0, 1))
    is_peak = (here > left) & (here >= right) & (here > 0.5 * VOICING_THRESHOLD)
    # A parabola through the three samples finds the place and height of the peak between them.
    curvature = np.where(is_peak, 2 * here - left - right, 1.0)
    slope = 0.5 * (right - left)
    f0 = sample_rate / (lags + slope / curvature)
    height = np.minimum(here + 0.5 * slope**2 / curvature, 1.0)
    in_range = is_peak & (f0 >= config.floor) & (f0 <= config.ceiling)
    strength = np.where(in_range, height - OCTAVE_COST * np.log2(config.floor / f0), -np.inf)

    best = np.argsort(-strength, axis=1, kind="stable")[:, : MAX_CANDIDATES - 1]
    f0, strength = (np.take_along_axis(values, best, axis=1) for values in (f0, strength))
    quiet = loudness / (SILENCE_THRESHOLD / (1 + VOICING_THRESHOLD))
    unvoiced = VOICING_THRESHOLD + np.maximum(0, 2 - quiet)
    f0 = np.concatenate([np.zeros((len(f0), 1)), f0], axis=1)
    return f0, np.concatenate([unvoiced[:, None], strength], axis=1)


def _best_path(
    f0: NDArray[np.float64], strength: NDArray[np.float64], seconds_per_frame: float
) -> NDArray[np.int64]:
    """Candidates whose strengths, less the costs of the changes between them, sum to the most."""
    scale = COSTS_ARE_FOR / seconds_per_frame
    voiced = f0 > 0
    octaves = np.log2(np.where(voiced, f0, 1.0))
    total = strength[0]
    came_from = np.zeros(f0.shape, dtype=np.int64)
    for frame in range(1, len(f0)):
        jump = OCTAVE_JUMP_COST * np.abs(octaves[frame - 1][:, None] - octaves[frame])
        both = voiced[frame - 1][:, None] & voiced[frame]
        change = voiced[frame - 1][:, None] != voiced[frame]
        scores = total[:, None] - scale * np.where(both, jump, VOICING_COST * change)
        came_from[frame] = scores.argmax(axis=0)
        total = scores.max(axis=0) + strength[frame]
    path = np.zeros(len(f0), dtype=np.int64)
    path[-1] = total.argmax()
    for frame in range(len(f0) - 1, 0, -1):
        path[frame - 1] = came_from[frame, path[frame]]
    return path
