"""Speech in a recording: where it is, how loud, how far above the noise, and how speech-like."""

import math
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float

HOP_SECONDS = 0.010
WINDOW_SECONDS = 0.025
FLOOR_DBFS = -100.0

Samples = Float[np.ndarray, " n"]
Levels = Float[np.ndarray, " t"]
"""RMS level of each frame, in dB below a full-scale constant."""
Mask = Bool[np.ndarray, " t"]


def frame_levels(samples: Samples, sample_rate: int) -> Levels:
    """One level every 10 ms; frame i looks at 25 ms around i * HOP_SECONDS."""
    hop, window = round(HOP_SECONDS * sample_rate), round(WINDOW_SECONDS * sample_rate)
    energy = np.cumsum(np.square(np.pad(samples.astype(np.float64), (window // 2 + 1, window))))
    starts = np.arange(0, len(samples), hop)
    power = (energy[starts + window] - energy[starts]) / window
    return _decibels(power)


def loud_level(levels: Levels) -> float:
    """The level that the loudest part reaches: 5 % of the time, but half a second at most."""
    rank = min(math.ceil(0.05 * len(levels)), round(0.5 / HOP_SECONDS))
    return float(np.sort(levels)[-rank])


def speech_level(levels: Levels) -> float:
    """Mean level of what lies within 25 dB of the loud parts (a gated RMS, in dBFS).

    ITU-R BS.1770 differs by its K-weighting, which moves the level of speech by less than 2 dB:
    not worth its dependencies here.
    """
    loud = levels[levels > max(loud_level(levels) - 25, FLOOR_DBFS)]
    return 10 * math.log10(float(np.mean(10 ** (loud / 10)))) if len(loud) else FLOOR_DBFS


def find_speech(levels: Levels) -> Mask:
    """Frames above the noise; runs under 50 ms are clicks, gaps under 50 ms are none."""
    loud, noise = loud_level(levels), float(np.percentile(levels, 3))
    # 6 dB above the quietest, but never so high that soft sounds of clean speech are lost.
    threshold = min(max(noise + 6, loud - 45), loud - 8)
    shortest = round(0.05 / HOP_SECONDS)
    mask = levels > threshold
    for start, end in spans(~mask):
        mask[start:end] |= end - start < shortest and start > 0 and end < len(mask)
    for start, end in spans(mask):
        mask[start:end] &= end - start >= shortest
    return mask


def spans(mask: Mask) -> list[tuple[int, int]]:
    """First and last-plus-one frame of each run of True."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def speech_seconds(mask: Mask, *, longest_gap: float = 0.3) -> float:
    """Time with speech in it; pauses up to `longest_gap` seconds belong to it."""
    runs = spans(mask)
    frames = sum(end - start for start, end in runs)
    gaps = [after[0] - before[1] for before, after in pairwise(runs)]
    frames += sum(gap for gap in gaps if gap * HOP_SECONDS <= longest_gap)
    return frames * HOP_SECONDS


def signal_to_noise(levels: Levels) -> float:
    """Distance of speech from what is heard in its pauses, in dB (100 at most).

    Within 1 dB for white noise between 0 and 15 dB; speech without pauses reads low.
    """
    audible = levels[levels > FLOOR_DBFS + 10]  # digital silence tells nothing of the noise
    if len(audible) == 0:
        return 100.0
    noise = 10 ** (float(np.percentile(audible, 10)) / 10)
    both = 10 ** (speech_level(audible) / 10)
    return float(np.clip(10 * math.log10(max(both - noise, 1e-12) / noise), -20, 100))


def level_variation(levels: Levels) -> float:
    """Movement of the level, in dB: speech 18 to 70 (5 in noise as loud as it), a hum 0 to 2."""
    low, high = np.percentile(levels, [5, 95])
    return float(high - low)


def spectral_variation(samples: Samples, sample_rate: int, mask: Mask) -> float:
    """Change of the colour of the sound from frame to frame, in dB.

    The spread of 20 mel bands about the frame's own mean, over the frames in `mask`: clean speech
    5 to 12, speech in noise as loud as it 2.4 to 3.3, noise of any loudness 1.8 to 2, tones 0 to 1.
    """
    hop, window = round(HOP_SECONDS * sample_rate), round(WINDOW_SECONDS * sample_rate)
    size = 1 << (window - 1).bit_length()
    padded = np.pad(samples.astype(np.float32), (window // 2, window))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop][: len(mask)][mask]
    if len(frames) < 2:
        return 0.0
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(window).astype(np.float32), size)) ** 2
    bands = _decibels(spectrum @ _mel_bands(size, sample_rate) / size)
    bands = np.maximum(bands, bands.max(axis=1, keepdims=True) - 50)
    return float((bands - bands.mean(axis=1, keepdims=True)).std(axis=0).mean())


def _mel_bands(size: int, sample_rate: int, count: int = 20) -> Float[np.ndarray, "f bands"]:
    """Triangles, evenly spaced in mel between 100 Hz and almost half the sample rate."""

    def mel(hertz: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        return 2595 * np.log10(1 + hertz / 700)

    low, high = mel(np.array([100, 0.475 * sample_rate]))
    edges = np.linspace(low, high, count + 2)
    position = mel(np.fft.rfftfreq(size, 1 / sample_rate))[:, None]
    rising = (position - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - position) / (edges[2:] - edges[1:-1])
    bands: Float[np.ndarray, "f bands"] = np.minimum(rising, falling).clip(0)
    return bands


def _decibels(power: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    levels: Float[np.ndarray, ...] = 10 * np.log10(np.maximum(power, 10 ** (FLOOR_DBFS / 10)))
    return levels
