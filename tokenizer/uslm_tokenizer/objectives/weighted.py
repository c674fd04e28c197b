"""Loss of a made waveform: its distance to the real one, and what a discriminator says."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from uslm_tokenizer.objectives.waveform import (
    Rules,
    adversarial_loss,
    feature_matching_loss,
    sample_loss,
)


@dataclass(frozen=True, kw_only=True)
class WaveformWeights:
    """Weights of the losses."""

    mel: float = 15.0
    """The spectral distance."""
    adversarial: float = 1.0
    """The discriminator's opinion."""
    features: float = 2.0
    """The distance of the discriminator's features."""
    samples: float = 0.0
    """The mean absolute difference of the samples."""
    rules: Rules = "encodec"
    """Whose adversarial losses: see `objectives.waveform`."""


def waveform_losses(
    made: Float[Tensor, "b 1 n"],
    real: Float[Tensor, "b 1 n"],
    spectral_loss: nn.Module,
    discriminator: nn.Module | None,
    weights: WaveformWeights,
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """The weighted sum, and its parts; without a discriminator the spectral distance alone.

    The discriminator is asked, not taught: none of its weights gets a gradient here.
    """
    spectral = spectral_loss(made, real)
    total, parts = weights.mel * spectral, {"mel": spectral}
    if weights.samples:
        parts["samples"] = sample_loss(made, real)
        total = total + weights.samples * parts["samples"]
    if discriminator is None:
        return total, parts
    discriminator.requires_grad_(False)
    scores, features = discriminator(made)
    with torch.no_grad():
        _, wanted = discriminator(real)
    discriminator.requires_grad_(True)
    parts["adversarial"] = adversarial_loss(scores, weights.rules)
    parts["features"] = feature_matching_loss(wanted, features, weights.rules)
    total = total + weights.adversarial * parts["adversarial"]
    return total + weights.features * parts["features"], parts
