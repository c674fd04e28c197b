"""Objectives that keep codes alive: reconstruction, commitment, diversity."""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.objectives.judged import References, Tokenized, UnitObjective, UnitReader


@dataclass(frozen=True, kw_only=True)
class ReaderConfig:
    """Sizes of how an objective reads the codes."""

    weight: float = 1.0
    """Of the loss in the sum."""
    dim: int = 256
    """Width of the reader."""
    num_heads: int = 4
    """Attention heads of each layer."""
    num_layers: int = 1
    """Transformer layers; 0: two linear maps, which see one frame only."""


class Reconstruction(UnitObjective):
    """Mean squared error of the encoder's features, read from the codes.

    LAST (Turetzky & Adi 2024) adds it to the language model's loss: without it the codes collapse.
    """

    is_judge: ClassVar[bool] = False

    def __init__(self, config: ReaderConfig, latent_dim: int, feature_dim: int) -> None:
        super().__init__()
        self.unit_reader = UnitReader(
            latent_dim,
            feature_dim,
            dim=config.dim,
            num_heads=config.num_heads,
            num_layers=config.num_layers,
        )

    def forward(self, made: Tokenized, references: References) -> Float[Tensor, ""]:
        found = self.unit_reader(made.quantized.latents, made.mask)
        # The target is what was heard, not something that may be made easier to predict.
        return F.mse_loss(found[made.mask], made.features.detach()[made.mask])


class Commitment(UnitObjective):
    """The quantizer's own loss, in the weights that its config gives."""

    is_judge: ClassVar[bool] = False

    def forward(self, made: Tokenized, references: References) -> Float[Tensor, ""]:
        return made.quantized.loss


class Diversity(UnitObjective):
    """Distance of the mean use of the codes from the most even use, in nats.

    log K minus the entropy of the mean soft assignment: 0 where all codes are used alike.
    """

    is_judge: ClassVar[bool] = False

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, made: Tokenized, references: References) -> Float[Tensor, ""]:
        shares = made.quantizer.soft_assignment(made.latents, self.temperature)
        return lacking_entropy(shares.movedim(2, 1)[made.mask])


def lacking_entropy(shares: Float[Tensor, "n k v"]) -> Float[Tensor, ""]:
    """log v minus the entropy of each codebook's mean share; the mean over codebooks, nats."""
    mean = shares.mean(0)
    entropy = -(mean * mean.clamp(min=1e-12).log()).sum(-1)
    return (mean.new_tensor(float(mean.shape[-1])).log() - entropy).mean()
