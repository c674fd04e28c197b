"""Spectra as convolutions of real numbers, for runtimes that have neither FFT nor complex numbers.

A frame of n samples costs n^2 products here and n log n by FFT: use it where a graph is exported,
and `spectral.py` elsewhere. Both give the same up to rounding.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from uslm_tokenizer.nn.spectral import InverseSTFT, LogMel


class RealSTFT(nn.Module):
    """Frames of a signal that is padded already, as `torch.stft(center=False)` cuts them."""

    kernels: Tensor

    def __init__(self, window: Float[Tensor, " n_fft"], hop_length: int) -> None:
        super().__init__()
        self.hop_length = hop_length
        cos, sin = _waves(len(window))
        kernels = torch.cat([cos, -sin]) * window.double()
        self.register_buffer("kernels", kernels[:, None].float())

    def forward(
        self, signal: Float[Tensor, "b n"]
    ) -> tuple[Float[Tensor, "b f t"], Float[Tensor, "b f t"]]:
        """The real and the imaginary parts; f = n_fft / 2 + 1."""
        both = F.conv1d(signal[:, None], self.kernels, stride=self.hop_length)
        real, imaginary = both.chunk(2, dim=1)
        return real, imaginary


class RealInverseSTFT(nn.Module):
    """An `InverseSTFT` of real and imaginary parts."""

    kernels: Tensor
    energy: Tensor

    def __init__(self, inverse: InverseSTFT) -> None:
        super().__init__()
        n_fft, self.hop_length = inverse.n_fft, inverse.hop_length
        self.start = (n_fft - self.hop_length) // 2
        window = inverse.window.double()
        cos, sin = _waves(n_fft)
        # All bins but the first and the last stand for two of the whole spectrum.
        count = torch.full((n_fft // 2 + 1, 1), 2.0, dtype=torch.float64)
        count[0] = count[-1] = 1.0
        kernels = torch.cat([cos * count, -sin * count]) / n_fft * window
        self.register_buffer("kernels", kernels[:, None].float())
        self.register_buffer("energy", window.square().float()[None, None])

    def forward(
        self, real: Float[Tensor, "b f t"], imaginary: Float[Tensor, "b f t"]
    ) -> Float[Tensor, "b 1 n"]:
        """n = t * hop_length."""
        hop = self.hop_length
        both = torch.cat([real, imaginary], dim=1)
        summed = F.conv_transpose1d(both, self.kernels, stride=hop)
        weight = F.conv_transpose1d(torch.ones_like(both[:, :1]), self.energy, stride=hop)
        end = self.start + both.shape[2] * hop
        return (summed / weight.clamp(min=1e-8))[:, :, self.start : end]


class RealLogMel(nn.Module):
    """A `LogMel` with silence outside the waveform."""

    filters: Tensor

    def __init__(self, mel: LogMel) -> None:
        super().__init__()
        assert mel.outside == "constant"
        self.stft = RealSTFT(mel.window, mel.hop_length)
        padding = (mel.n_fft - mel.hop_length) // 2
        self.sides = (padding, mel.n_fft - mel.hop_length - padding)
        self.floor, self.epsilon = mel.floor, mel.epsilon
        self.register_buffer("filters", mel.filters)

    def forward(self, waveform: Float[Tensor, "b 1 n"]) -> Float[Tensor, "b t num_mels"]:
        """n must be a multiple of the hop; t = n / hop_length."""
        real, imaginary = self.stft(F.pad(waveform[:, 0], self.sides))
        magnitude = (real.square() + imaginary.square() + self.epsilon).sqrt()
        mel = self.filters @ magnitude
        logarithms: Tensor = mel.clamp(min=self.floor).log().transpose(1, 2)
        return logarithms


def _waves(n_fft: int) -> tuple[Float[Tensor, "f n_fft"], Float[Tensor, "f n_fft"]]:
    """Cosines and sines of every bin, in double precision."""
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64)[:, None]
    # The remainder first: it keeps the angles small, and so exact.
    angles = (bins * torch.arange(n_fft)).remainder(n_fft) * (2 * math.pi / n_fft)
    return angles.cos(), angles.sin()
