"""Spectra by real convolutions are those by FFT."""

from __future__ import annotations

import pytest
import torch

from uslm_tokenizer.nn.real_spectral import RealInverseSTFT, RealLogMel, RealSTFT
from uslm_tokenizer.nn.spectral import InverseSTFT, LogMel

N_FFT, HOP = 64, 16


def test_the_stft_is_torchs() -> None:
    signal, window = torch.randn(2, 400), torch.hann_window(N_FFT)
    real, imaginary = RealSTFT(window, HOP)(signal)
    wanted = torch.stft(signal, N_FFT, HOP, window=window, center=False, return_complex=True)
    torch.testing.assert_close(torch.complex(real, imaginary), wanted, rtol=0, atol=2e-5)


def test_the_inverse_is_that_of_fft() -> None:
    inverse = InverseSTFT(N_FFT, HOP)
    spectrum = torch.randn(2, N_FFT // 2 + 1, 9, dtype=torch.complex64)
    found = RealInverseSTFT(inverse)(spectrum.real, spectrum.imag)
    torch.testing.assert_close(found, inverse(spectrum), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("epsilon", [0.0, 1e-3])
def test_log_mels_are_those_of_fft(epsilon: float) -> None:
    mel = LogMel(16_000, N_FFT, HOP, 12, epsilon=epsilon)
    waveform = 0.1 * torch.randn(2, 1, 20 * HOP)
    torch.testing.assert_close(RealLogMel(mel)(waveform), mel(waveform), rtol=0, atol=1e-4)
