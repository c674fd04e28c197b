"""Damage to speech: as much noise as is asked for, rooms that decay, bands that end."""

from __future__ import annotations

import numpy as np
import pytest

from uslm.systems.two_stage.tiny import speech_like
from uslm_recipes.data.augment.damage import (
    DamageConfig,
    colored_noise,
    companded,
    damaged,
    in_room,
    low_passed,
    with_noise,
)
from uslm_tokenizer.errors import ConfigError

RATE = 16_000
SPEECH = speech_like(2.0).waveform[0].numpy()
QUIET = DamageConfig(babble_share=0.0, room_share=0.0, band_share=0.0, codec_share=0.0)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("snr", [-5.0, 0.0, 10.0])
def test_noise_has_the_ratio_that_is_asked_for(snr: float) -> None:
    noise = colored_noise(len(SPEECH), draw())
    added = with_noise(SPEECH, noise, snr) - SPEECH
    assert 20 * np.log10(rms(SPEECH) / rms(added)) == pytest.approx(snr, abs=0.01)
    # In the whole, too, where nothing else is done: speech and noise are scaled alike.
    made = damaged(SPEECH, RATE, QUIET.at(snr), draw(1))
    share = float(made @ SPEECH) / float(SPEECH @ SPEECH)
    rest = made - share * SPEECH
    assert 20 * np.log10(share * rms(SPEECH) / rms(rest)) == pytest.approx(snr, abs=0.5)


def test_length_and_loudness_stay_and_the_seed_decides() -> None:
    config = DamageConfig(room_share=1.0, band_share=1.0, codec_share=1.0, babble_share=1.0)
    others = speech_like(1.0, seed=5).waveform[0].numpy()
    made = damaged(SPEECH, RATE, config, draw(3), others)
    assert made.shape == SPEECH.shape and made.dtype == np.float32
    assert rms(made) == pytest.approx(rms(SPEECH), rel=0.02) and np.abs(made).max() <= 1
    assert np.array_equal(made, damaged(SPEECH, RATE, config, draw(3), others))
    assert not np.array_equal(made, damaged(SPEECH, RATE, config, draw(4), others))
    assert not np.array_equal(made, damaged(SPEECH, RATE, config, draw(3), others[::-1].copy()))
    silent = damaged(np.zeros(800, dtype=np.float32), RATE, config, draw(), others)
    assert not silent.any()


def test_a_room_sounds_on_and_decays() -> None:
    click = np.zeros(RATE, dtype=np.float32)
    click[100] = 1.0
    sound = in_room(click, RATE, 0.4, draw())
    assert np.abs(sound[:100]).max() < 1e-6 and sound[100] > 0.5
    early, late = rms(sound[200:1800]), rms(sound[5000:6600])
    assert 20 * np.log10(early / late) == pytest.approx(60 * 4800 / 6400, abs=6)


def test_a_band_ends_where_it_should() -> None:
    noise = draw().standard_normal(RATE).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(low_passed(noise, RATE, 2000.0)))
    whole = np.abs(np.fft.rfft(noise))
    np.testing.assert_allclose(spectrum[:1990], whole[:1990], rtol=1e-3, atol=1e-2)
    assert spectrum[2210:].max() < 1e-2


def test_companding_to_more_bits_is_nearer() -> None:
    errors = [rms(companded(SPEECH, bits) - SPEECH) for bits in (4, 6, 8)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2] > 0


def test_settings_that_cannot_be_are_named() -> None:
    with pytest.raises(ConfigError, match=r"room_share must be in \[0, 1\], but is 2"):
        DamageConfig(room_share=2.0)
    with pytest.raises(ConfigError, match="min_band_hz must be above 0, but is 0"):
        DamageConfig(min_band_hz=0.0)
