"""F0 of speech by autocorrelation; it needs no PyTorch.

The method is Boersma's (1993, "Accurate short-term analysis of the fundamental frequency and the
harmonics-to-noise ratio of a sampled sound"), with the costs that Praat has as its defaults.
"""

import numpy as np
from numpy.typing import NDArray

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


def f0_of(
    samples: NDArray[np.float64], sample_rate: int, hop_length: int, floor: float, ceiling: float
) -> NDArray[np.float32]:
    """F0 at the middle of each hop, Hz, 0 where unvoiced, looked for between `floor` and
    `ceiling`; ceil(n / hop_length) of them."""
    num_frames = -(-len(samples) // hop_length)
    peak = float(np.abs(samples - samples.mean()).max())
    if peak == 0:
        return np.zeros(num_frames, dtype=np.float32)
    window_length = round(PERIODS_PER_WINDOW / floor * sample_rate)
    frames = _cut(samples, window_length, hop_length, num_frames)
    loudness = _local_peaks(frames, round(sample_rate / floor)) / peak
    correlation = _autocorrelation(frames)
    f0, strength = _candidates(correlation, loudness, sample_rate, floor, ceiling)
    path = _best_path(f0, strength, hop_length / sample_rate)
    return f0[np.arange(num_frames), path].astype(np.float32)


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
    floor: float,
    ceiling: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """F0 and strength of the best candidates of each frame; the first, of 0 Hz, is unvoiced."""
    shortest = max(2, int(sample_rate / ceiling))
    longest = min(correlation.shape[1] - 2, int(np.ceil(sample_rate / floor)))
    lags = np.arange(shortest, longest + 1)
    left, here, right = (correlation[:, lags + step] for step in (-1, 0, 1))
    is_peak = (here > left) & (here >= right) & (here > 0.5 * VOICING_THRESHOLD)
    # A parabola through the three samples finds the place and height of the peak between them.
    curvature = np.where(is_peak, 2 * here - left - right, 1.0)
    slope = 0.5 * (right - left)
    f0 = sample_rate / (lags + slope / curvature)
    height = np.minimum(here + 0.5 * slope**2 / curvature, 1.0)
    in_range = is_peak & (f0 >= floor) & (f0 <= ceiling)
    strength = np.where(in_range, height - OCTAVE_COST * np.log2(floor / f0), -np.inf)

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
