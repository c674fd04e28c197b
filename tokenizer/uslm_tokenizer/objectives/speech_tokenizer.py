"""The losses that SpeechTokenizer and DM-Codec were trained with, as published.

Zhang et al. 2023. Their sum is: feature matching + adversarial + mel + 10 commitment
+ 500 waveform + 120 distillation. Sounds of unequal length are compared over the shorter.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from uslm_tokenizer.nn.spectral import LogMel

MEL_SCALES = ((1024, 45.0), (512, 1.0), (256, 1.0), (128, 1.0))
"""Window in samples and weight of each resolution; the hop is 15/64 of the window."""


class MelLoss(nn.Module):
    """Weighted sum of L1 distances of log-mel spectrograms with 80 bands."""

    def __init__(self, sample_rate: int, scales: Sequence[tuple[int, float]] = MEL_SCALES) -> None:
        super().__init__()
        self.weights = [weight for _, weight in scales]
        self.mels = nn.ModuleList(
            LogMel(sample_rate, n_fft, n_fft * 15 // 64, 80, equal_area=True, reflect=True)
            for n_fft, _ in scales
        )

    def distances(
        self, waveform: Float[Tensor, "b 1 n"], target: Float[Tensor, "b 1 m"]
    ) -> list[Float[Tensor, ""]]:
        """One for each resolution, without its weight."""
        return [F.l1_loss(*_common(mel(waveform), mel(target))) for mel in self.mels]

    def forward(
        self, waveform: Float[Tensor, "b 1 n"], target: Float[Tensor, "b 1 m"]
    ) -> Float[Tensor, ""]:
        pairs = zip(self.weights, self.distances(waveform, target), strict=True)
        return torch.stack([weight * distance for weight, distance in pairs]).sum()


def waveform_loss(
    waveform: Float[Tensor, "b 1 n"], target: Float[Tensor, "b 1 m"]
) -> Float[Tensor, ""]:
    """Mean absolute difference of the samples."""
    n = min(waveform.shape[-1], target.shape[-1])
    return F.l1_loss(waveform[..., :n], target[..., :n])


def distillation_loss(
    features: Float[Tensor, "b t d"], teacher: Float[Tensor, "b s d"]
) -> Float[Tensor, ""]:
    """Each dimension is to run like the teacher's over time: -log sigmoid of their cosine."""
    features, teacher = _common(features, teacher)
    return -F.logsigmoid(F.cosine_similarity(features, teacher, dim=1)).mean()


def frame_distillation_loss(
    features: Float[Tensor, "b t d"], teacher: Float[Tensor, "b s d"], similarity_weight: float
) -> Float[Tensor, ""]:
    """Each frame is to equal the teacher's, in value and, so weighted, in direction."""
    features, teacher = _common(features, teacher)
    similarity = F.logsigmoid(F.cosine_similarity(features, teacher, dim=2)).mean()
    return F.l1_loss(features, teacher) - similarity_weight * similarity


def discriminator_loss(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Float[Tensor, ""]:
    """Least squares, summed over the discriminators: real scores to 1, fake ones to 0."""
    each = [(1 - r).square().mean() + f.square().mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(each).sum()


def adversarial_loss(fake: Sequence[Tensor]) -> Float[Tensor, ""]:
    """What the generator wants: scores of 1 for its output."""
    return torch.stack([(1 - f).square().mean() for f in fake]).sum()


def feature_matching_loss(
    real: Sequence[Sequence[Tensor]], fake: Sequence[Sequence[Tensor]]
) -> Float[Tensor, ""]:
    """Twice the L1 distance of features, summed over discriminators and their layers."""
    each = [
        F.l1_loss(f, r)
        for real_layers, fake_layers in zip(real, fake, strict=True)
        for r, f in zip(real_layers, fake_layers, strict=True)
    ]
    return 2 * torch.stack(each).sum()


def _common(
    a: Float[Tensor, "b t d"], b: Float[Tensor, "b s d"]
) -> tuple[Float[Tensor, "b u d"], Float[Tensor, "b u d"]]:
    """Both cut to the frames of the shorter."""
    t = min(a.shape[1], b.shape[1])
    return a[:, :t], b[:, :t]
