"""Losses of waveforms: spectral distances, and the two sides of the adversarial game."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from uslm_tokenizer.nn.spectral import LogMel, mel_filters

MEL_SCALES = ((64, 10), (128, 20), (256, 40), (512, 60), (1024, 80), (2048, 120))
"""Window in samples and number of mel bands of each resolution."""


class MultiScaleMelLoss(nn.Module):
    """Mean L1 distance of log-mel spectrograms at several resolutions (DAC, Kumar et al. 2023)."""

    def __init__(self, sample_rate: int, scales: Sequence[tuple[int, int]] = MEL_SCALES) -> None:
        super().__init__()
        self.mels = nn.ModuleList(
            LogMel(sample_rate, n_fft, n_fft // 4, num_mels) for n_fft, num_mels in scales
        )

    def forward(
        self, waveform: Float[Tensor, "b 1 n"], target: Float[Tensor, "b 1 n"]
    ) -> Float[Tensor, ""]:
        """n must be a multiple of a quarter of the longest window."""
        distances = [F.l1_loss(mel(waveform), mel(target)) for mel in self.mels]
        return torch.stack(distances).mean()


STFT_SCALES = ((2048, 512, 128), (1024, 256, 80), (512, 128, 40), (256, 64, 20))
"""Window and hop in samples, and number of mel bands, of each resolution."""


class MultiResolutionSTFTLoss(nn.Module):
    """L1 distance of log-mel and log-linear magnitudes at several resolutions.

    The linear ones see what mel bands blur: single harmonics, and the noise between them.
    """

    def __init__(
        self,
        sample_rate: int,
        scales: Sequence[tuple[int, int, int]] = STFT_SCALES,
        *,
        linear_weight: float = 0.3,
        mel_floor: float = 1e-4,
        linear_floor: float = 1e-3,
    ) -> None:
        super().__init__()
        self.scales, self.linear_weight = tuple(scales), linear_weight
        self.mel_floor, self.linear_floor = mel_floor, linear_floor
        for n_fft, _, num_mels in scales:
            filters = mel_filters(n_fft // 2 + 1, num_mels, sample_rate)
            self.register_buffer(f"window{n_fft}", torch.hann_window(n_fft), persistent=False)
            self.register_buffer(f"filters{n_fft}", filters, persistent=False)

    def forward(
        self, waveform: Float[Tensor, "b 1 n"], target: Float[Tensor, "b 1 n"]
    ) -> Float[Tensor, ""]:
        """n must be above half of the longest window."""
        total = waveform.new_zeros((), dtype=torch.float32)
        for n_fft, hop, _ in self.scales:
            window, filters = (getattr(self, f"{kind}{n_fft}") for kind in ("window", "filters"))
            made, real = (
                torch.stft(x[:, 0].float(), n_fft, hop, window=window, return_complex=True).abs()
                for x in (waveform, target)
            )
            mel = F.l1_loss(
                (filters @ made).clamp(min=self.mel_floor).log(),
                (filters @ real).clamp(min=self.mel_floor).log(),
            )
            linear = F.l1_loss(
                made.clamp(min=self.linear_floor).log(), real.clamp(min=self.linear_floor).log()
            )
            total = total + mel + self.linear_weight * linear
        return total / len(self.scales)


Scores = Sequence[Float[Tensor, "b 1 t f"]]
Features = Sequence[Sequence[Float[Tensor, "b c t f"]]]


def discriminator_loss(real: Scores, fake: Scores) -> Float[Tensor, ""]:
    """Hinge: real scores are to lie above 1, fake ones below -1; mean over the scales."""
    each = [
        F.relu(1 - r.float()).mean() + F.relu(1 + f.float()).mean()
        for r, f in zip(real, fake, strict=True)
    ]
    return torch.stack(each).mean()


def adversarial_loss(fake: Scores) -> Float[Tensor, ""]:
    """What the generator wants: high scores for its output."""
    return torch.stack([F.relu(1 - f.float()).mean() for f in fake]).mean()


def feature_matching_loss(real: Features, fake: Features) -> Float[Tensor, ""]:
    """L1 distance of the discriminator's features, relative to their size (EnCodec, eq. 4)."""
    each = [
        F.l1_loss(f.float(), r.float().detach()) / r.float().detach().abs().mean().clamp(min=1e-4)
        for real_scale, fake_scale in zip(real, fake, strict=True)
        for r, f in zip(real_scale, fake_scale, strict=True)
    ]
    return torch.stack(each).mean()
