"""Spectrograms: log-mel going in, inverse STFT coming out. Frame i is centred in hop i."""

import math
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def mel_filters(
    num_bins: int,
    num_mels: int,
    sample_rate: int,
    *,
    equal_area: bool = False,
    slaney: bool = False,
    last_bin: float | None = None,
) -> Float[Tensor, "num_mels num_bins"]:
    """Triangles evenly spaced on a mel scale from 0 Hz to half the sample rate.

    The scale is HTK's, or Slaney's (1998); their peak is 1, or with `equal_area` their area. The
    last bin lies at half the sample rate unless said otherwise, in Hz: an odd FFT ends below it.
    """
    points = (_slaney_points if slaney else _htk_points)(num_mels + 2, sample_rate / 2)
    bins = torch.linspace(0, sample_rate / 2 if last_bin is None else last_bin, num_bins)
    rising = (bins - points[:-2, None]) / (points[1:-1] - points[:-2])[:, None]
    falling = (points[2:, None] - bins) / (points[2:] - points[1:-1])[:, None]
    filters = torch.minimum(rising, falling).clamp(min=0)
    return filters * (2 / (points[2:] - points[:-2]))[:, None] if equal_area else filters


def _htk_points(count: int, top: float) -> Float[Tensor, " count"]:
    top_mel = 2595 * torch.log10(torch.tensor(1 + top / 700))
    return 700 * (10 ** (torch.linspace(0, float(top_mel), count) / 2595) - 1)


def _slaney_points(count: int, top: float) -> Float[Tensor, " count"]:
    """Even up to 1000 Hz, 15 mels of them; above, each mel is a step of 6.4 ** (1 / 27)."""
    step = math.log(6.4) / 27
    top_mel = top * 15 / 1000 if top < 1000 else 15 + math.log(top / 1000) / step
    mels = torch.linspace(0, top_mel, count, dtype=torch.float64)
    above = 1000 * ((mels - 15) * step).exp()
    return torch.where(mels < 15, mels * 1000 / 15, above).float()


class LogMel(nn.Module):
    """Log-mel spectrogram with exactly one frame for each hop.

    Outside the waveform is silence, or with `reflect` its mirror image.
    """

    window: Tensor
    filters: Tensor

    def __init__(
        self,
        sample_rate: int = 16_000,
        n_fft: int = 1280,
        hop_length: int = 320,
        num_mels: int = 100,
        floor: float = 1e-5,
        *,
        equal_area: bool = False,
        slaney: bool = False,
        reflect: bool = False,
        epsilon: float = 0.0,
    ) -> None:
        """`epsilon` is added to the power of each bin; for the other choices see `mel_filters`."""
        super().__init__()
        self.n_fft, self.hop_length, self.num_mels, self.floor = n_fft, hop_length, num_mels, floor
        self.outside = "reflect" if reflect else "constant"
        self.epsilon = epsilon
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        filters = mel_filters(
            n_fft // 2 + 1, num_mels, sample_rate, equal_area=equal_area, slaney=slaney
        )
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, waveform: Float[Tensor, "b 1 n"]) -> Float[Tensor, "b t num_mels"]:
        """n must be a multiple of the hop; t = n / hop_length. Computed in float32."""
        padding = (self.n_fft - self.hop_length) // 2
        sides = (padding, self.n_fft - self.hop_length - padding)
        padded = F.pad(waveform[:, 0].float(), sides, self.outside)
        spectrum = torch.stft(
            padded, self.n_fft, self.hop_length, window=self.window.float(), center=False,
            return_complex=True,
        )  # fmt: skip
        magnitude = spectrum.abs()
        if self.epsilon:
            magnitude = (magnitude.square() + self.epsilon).sqrt()
        mel = self.filters.float() @ magnitude
        return mel.clamp(min=self.floor).log().transpose(1, 2)


class InverseSTFT(nn.Module):
    """Overlap-add of spectrum frames; t frames give exactly t * hop_length samples."""

    window: Tensor

    def __init__(self, n_fft: int, hop_length: int) -> None:
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def forward(self, spectrum: Tensor) -> Float[Tensor, "b 1 n"]:
        """`spectrum` is complex, [b, n_fft / 2 + 1, t]."""
        window = self.window.float()
        frames = torch.fft.irfft(spectrum, self.n_fft, dim=1) * window[None, :, None]
        num_frames = spectrum.shape[-1]
        length = (num_frames - 1) * self.hop_length + self.n_fft
        energy = (window**2)[None, :, None].expand(1, -1, num_frames)
        start = (self.n_fft - self.hop_length) // 2
        end = start + num_frames * self.hop_length
        summed = self._overlap_add(frames, length)[:, start:end]
        weight = self._overlap_add(energy, length)[:, start:end]
        return (summed / weight.clamp(min=1e-8))[:, None]

    def from_log_polar(self, spectrum: Float[Tensor, "b t f"]) -> Float[Tensor, "b 1 n"]:
        """From log magnitudes, the first n_fft / 2 + 1 values of a frame, and phases, the rest."""
        log_magnitude, phase = spectrum.float().transpose(1, 2).chunk(2, dim=1)
        magnitude = log_magnitude.exp().clamp(max=1e2)  # an early, wild guess must not overflow
        return cast(Tensor, self(torch.polar(magnitude, phase)))

    def _overlap_add(self, frames: Float[Tensor, "b f t"], length: int) -> Float[Tensor, "b n"]:
        summed = F.fold(frames, (1, length), (1, self.n_fft), stride=(1, self.hop_length))
        return summed[:, 0, 0]
