"""Spectrograms have a frame for each hop, and the inverse gives the waveform back."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from uslm_tokenizer.nn.convnext import ConvNeXt
from uslm_tokenizer.nn.spectral import InverseSTFT, LogMel, mel_filters


@pytest.mark.parametrize(("n_fft", "hop"), [(1280, 320), (400, 160), (64, 16)])
def test_the_inverse_gives_the_waveform_back(n_fft: int, hop: int) -> None:
    waveform = torch.randn(2, hop * 20)
    padding = (n_fft - hop) // 2
    padded = F.pad(waveform, (padding, n_fft - hop - padding))
    window = torch.hann_window(n_fft)
    spectrum = torch.stft(padded, n_fft, hop, window=window, center=False, return_complex=True)
    back = InverseSTFT(n_fft, hop)(spectrum)[:, 0]
    assert back.shape == waveform.shape
    edge = n_fft  # the first and last frames lack neighbours to overlap with
    torch.testing.assert_close(back[:, edge:-edge], waveform[:, edge:-edge])


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_one_mel_frame_for_each_hop(frames: int) -> None:
    mel = LogMel(hop_length=320)
    assert mel(torch.randn(3, 1, frames * 320)).shape == (3, frames, 100)


def test_a_tone_lands_in_its_band() -> None:
    time = torch.arange(16_000) / 16_000
    tone = torch.sin(2 * torch.pi * 1000 * time)[None, None]
    band = int(LogMel()(tone)[0, 25].argmax())
    centre = mel_filters(641, 100, 16_000)[band].argmax() * 16_000 / 1280
    assert abs(float(centre) - 1000) < 40


def test_filters_of_equal_area_have_it() -> None:
    filters = mel_filters(8001, 20, 16_000, equal_area=True)  # a bin a hertz
    torch.testing.assert_close(filters.sum(1), torch.ones(20), atol=1e-3, rtol=0)


@pytest.mark.parametrize("sample_rate", [1_000, 24_000])
def test_slaneys_filters_are_those_of_transformers(sample_rate: int) -> None:
    from transformers.audio_utils import mel_filter_bank

    theirs = mel_filter_bank(
        513, 20, 0.0, sample_rate / 2, sample_rate, norm="slaney", mel_scale="slaney"
    )
    ours = mel_filters(513, 20, sample_rate, equal_area=True, slaney=True)
    torch.testing.assert_close(ours, torch.tensor(theirs.T, dtype=torch.float32))


def test_outside_is_silence_or_the_mirror_image() -> None:
    waveform = torch.randn(1, 1, 640)
    around = (480, 480)
    for reflect, mode in ((False, "constant"), (True, "reflect")):
        longer = F.pad(waveform, around, mode)
        ours = LogMel(reflect=reflect)(waveform)
        middle = LogMel()(F.pad(longer, (160, 160)))[:, 2:4]
        torch.testing.assert_close(ours, middle)


def test_silence_is_the_floor() -> None:
    assert bool((LogMel(floor=1e-5)(torch.zeros(1, 1, 640)) == torch.tensor(1e-5).log()).all())


def test_convnext_sees_no_further_than_it_says() -> None:
    network = ConvNeXt(4, 8, 16, num_layers=2).eval()
    x = torch.randn(1, 40, 4)
    changed = x.clone()
    changed[:, 20] += 1
    difference = (network(x) - network(changed)).abs().amax(dim=(0, 2))
    reach = network.context_frames
    assert reach == 9
    assert bool((difference[: 20 - reach] == 0).all() and (difference[21 + reach :] == 0).all())
    assert difference[20 - reach] > 0 and difference[20 + reach] > 0
