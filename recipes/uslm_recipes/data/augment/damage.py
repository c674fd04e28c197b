"""Damage to clean speech, made on the fly: noise, other speakers, a room, a narrow band, a codec.

What is drawn comes from one generator, so that a resumed run, and every process, damages alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from uslm_tokenizer.errors import ConfigError

Samples = NDArray[np.float32]
SPEED_OF_DECAY = 6.9
"""Nepers of 60 dB: what a room loses in its reverberation time."""
MU = 255.0
"""Of the telephone's companding (ITU-T G.711)."""


@dataclass(frozen=True, kw_only=True)
class DamageConfig:
    """Kinds of damage, their shares and their strengths."""

    min_snr_db: float = -5.0
    """Least ratio of speech to noise, dB."""
    max_snr_db: float = 15.0
    """Greatest ratio."""
    babble_share: float = 0.3
    """Share of rows whose noise is other speakers."""
    room_share: float = 0.3
    """Share of rows with a room."""
    max_room_seconds: float = 0.6
    """Longest reverberation time, seconds."""
    band_share: float = 0.2
    """Share of rows that lose what lies above some frequency."""
    min_band_hz: float = 1500.0
    """Lowest such frequency, Hz."""
    codec_share: float = 0.2
    """Share of rows that go through the companding of a telephone, to 4 to 8 bits."""

    def __post_init__(self) -> None:
        if not self.min_snr_db <= self.max_snr_db:
            raise ConfigError(
                f"min_snr_db must be at most max_snr_db, {self.max_snr_db:g}, "
                f"but is {self.min_snr_db:g}"
            )
        for name in ("babble_share", "room_share", "band_share", "codec_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be in [0, 1], but is {getattr(self, name)}")
        for name in ("max_room_seconds", "min_band_hz"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above 0, but is {getattr(self, name)}")

    def at(self, snr_db: float) -> DamageConfig:
        """Noise of this ratio alone, not of other speakers: what tables are made with."""
        return DamageConfig(
            min_snr_db=snr_db, max_snr_db=snr_db, babble_share=0, room_share=0, band_share=0,
            codec_share=0,
        )  # fmt: skip


def damaged(
    speech: Samples,
    sample_rate: int,
    config: DamageConfig,
    random: np.random.Generator,
    others: Samples | None = None,
) -> Samples:
    """The speech, as long and as loud as it was, damaged. `others` is what babble is made of;
    without it noise stands in for babble."""
    damaged = speech
    if random.random() < config.room_share:
        seconds = random.uniform(0.1, config.max_room_seconds)
        damaged = in_room(damaged, sample_rate, seconds, random)
    babbles = random.random() < config.babble_share and others is not None and len(others)
    noise = _stretch(others, len(speech), random) if babbles else colored_noise(len(speech), random)
    snr = random.uniform(config.min_snr_db, config.max_snr_db)
    damaged = with_noise(damaged, noise, snr)
    if random.random() < config.band_share:
        highest = random.uniform(min(config.min_band_hz, sample_rate / 2), sample_rate / 2)
        damaged = low_passed(damaged, sample_rate, highest)
    if random.random() < config.codec_share:
        damaged = companded(damaged, int(random.integers(4, 9)))
    loudness = _rms(speech) / max(_rms(damaged), 1e-8)
    made: Samples = np.clip(damaged * loudness, -1, 1).astype(np.float32)
    return made


def with_noise(speech: Samples, noise: Samples, snr_db: float) -> Samples:
    """Both, at a ratio of their mean powers."""
    gain = _rms(speech) / max(_rms(noise), 1e-8) * 10 ** (-snr_db / 20)
    return (speech + gain * noise).astype(np.float32)


def colored_noise(length: int, random: np.random.Generator) -> Samples:
    """Noise whose power falls with frequency as f^-c, c from 0 (white) to 2 (brown), and which
    swells and fades."""
    spectrum = np.fft.rfft(random.standard_normal(length))
    color = random.uniform(0, 2)
    frequencies = np.maximum(np.arange(len(spectrum)), 1.0)
    noise = np.fft.irfft(spectrum * frequencies ** (-color / 2), length)
    knots = random.uniform(0.3, 1.0, size=max(2, length // 8000 + 2))
    swell = np.interp(np.linspace(0, len(knots) - 1, length), np.arange(len(knots)), knots)
    return (noise * swell).astype(np.float32)


def in_room(
    speech: Samples, sample_rate: int, seconds: float, random: np.random.Generator
) -> Samples:
    """In a room of a reverberation time: a direct sound, and noise that decays after it
    (Polack's model)."""
    length = max(2, round(seconds * sample_rate))
    tail = random.standard_normal(length) * np.exp(-SPEED_OF_DECAY * np.arange(length) / length)
    tail *= random.uniform(0.3, 1.0) / np.sqrt((tail**2).sum())
    tail[0] += 1.0
    size = len(speech) + length - 1
    product = np.fft.rfft(speech, size) * np.fft.rfft(tail, size)
    return np.fft.irfft(product, size)[: len(speech)].astype(np.float32)


def low_passed(speech: Samples, sample_rate: int, highest_hz: float) -> Samples:
    """Nothing above a frequency, which fades over a tenth of it."""
    spectrum = np.fft.rfft(speech)
    frequencies = np.fft.rfftfreq(len(speech), 1 / sample_rate)
    fade = np.clip((1.1 * highest_hz - frequencies) / (0.1 * highest_hz), 0, 1)
    return np.fft.irfft(spectrum * fade, len(speech)).astype(np.float32)


def companded(speech: Samples, bits: int) -> Samples:
    """Through mu-law companding to so many bits, and back."""
    peak = max(float(np.abs(speech).max(initial=0.0)), 1e-8)
    small = np.sign(speech) * np.log1p(MU * np.abs(speech) / peak) / np.log1p(MU)
    steps = 2 ** (bits - 1)
    small = np.round(small * steps) / steps
    wide = np.sign(small) * np.expm1(np.abs(small) * np.log1p(MU)) / MU
    made: Samples = (peak * wide).astype(np.float32)
    return made


def _stretch(samples: Samples | None, length: int, random: np.random.Generator) -> Samples:
    assert samples is not None
    start = int(random.integers(len(samples)))
    return np.resize(np.roll(samples, -start), length).astype(np.float32)


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) if len(samples) else 0.0
