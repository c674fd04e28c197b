"""Loss of a made waveform: its distance to the real one, and what a discriminator says."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.objectives.balancer import Balancer
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
    balanced: bool = False
    """Whether a weight is the share that its loss has in the update, by EnCodec's balancer, or a
    factor."""

    def __post_init__(self) -> None:
        if self.balanced and not self.mel + self.samples > 0:
            raise ConfigError("weights.mel or weights.samples must be above 0 to be balanced")

    def named(self) -> dict[str, float]:
        """The weight of each part of `waveform_losses`; those that do not count are left out."""
        every = {
            "mel": self.mel,
            "samples": self.samples,
            "adversarial": self.adversarial,
            "features": self.features,
        }
        return {name: weight for name, weight in every.items() if weight}


def build_balancer(weights: WaveformWeights) -> Balancer | None:
    """EnCodec's balancer of these weights; None where they are factors."""
    return Balancer(weights.named()) if weights.balanced else None


def waveform_losses(
    made: Float[Tensor, "b 1 n"],
    real: Float[Tensor, "b 1 n"],
    spectral_loss: nn.Module,
    discriminator: nn.Module | None,
    weights: WaveformWeights,
    balancer: Balancer | None = None,
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """The weighted sum, and its parts; without a discriminator what is told without it.

    The discriminator is asked, not taught: none of its weights gets a gradient here. `balancer` is
    that of `build_balancer`.
    """
    parts = {"mel": spectral_loss(made, real)}
    if weights.samples:
        parts["samples"] = sample_loss(made, real)
    if discriminator is not None:
        discriminator.requires_grad_(False)
        scores, features = discriminator(made)
        with torch.no_grad():
            _, wanted = discriminator(real)
        discriminator.requires_grad_(True)
        parts["adversarial"] = adversarial_loss(scores, weights.rules)
        parts["features"] = feature_matching_loss(wanted, features, weights.rules)
    counted = {name: parts[name] for name in weights.named() if name in parts}
    if balancer is not None:
        return balancer(counted, made), parts
    if not counted:  # nothing weighs before the discriminator joins, but the graph has to be there
        return 0.0 * parts["mel"], parts
    total = made.new_zeros(())
    for name, loss in counted.items():
        total = total + weights.named()[name] * loss
    return total, parts
