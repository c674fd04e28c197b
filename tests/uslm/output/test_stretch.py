"""Time stretching changes the length and keeps the pitch."""

from __future__ import annotations

import math

import pytest
import torch

from uslm.output.stretch import check_speed, time_stretch
from uslm_tokenizer.errors import UserError

RATE = 16_000


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.8, 1.3, 2.0, 4.0])
def test_length_changes_and_pitch_stays(speed: float) -> None:
    time = torch.arange(RATE) / RATE
    waveform = 0.5 * torch.sin(2 * math.pi * 200 * time)[None]
    stretched = time_stretch(waveform, speed, RATE)
    assert stretched.shape[1] == round(RATE / speed)
    middle = stretched[:, 1000:-2000]
    spectrum = torch.fft.rfft(middle * torch.hann_window(middle.shape[1]), n=RATE).abs()[0]
    assert abs(int(spectrum.argmax()) - 200) <= 1
    # Periods meet in phase: nothing swells or fades.
    assert middle.abs().max() < 0.53
    assert middle.square().mean().sqrt() == pytest.approx(0.5 / math.sqrt(2), rel=0.03)


def test_speed_one_changes_nothing() -> None:
    waveform = torch.rand(1, 5000)
    assert time_stretch(waveform, 1.0, RATE) is waveform


@pytest.mark.parametrize("num_samples", [0, 1, 100, 639, 641])
def test_very_short_sounds_work(num_samples: int) -> None:
    assert time_stretch(torch.rand(1, num_samples), 2.0, RATE).shape[1] == round(num_samples / 2)


@pytest.mark.parametrize("speed", [0.0, 0.24, 4.01, -1.0, math.nan, math.inf])
def test_other_speeds_are_refused(speed: float) -> None:
    with pytest.raises(UserError, match="speed must be from"):
        check_speed(speed)
