"""Masked prediction: the labels of hidden frames, told from the visible ones."""

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from uslm_tokenizer.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PredictionConfig:
    """Frames that count in the loss."""

    visible_weight: float = 0.0
    """Share of the visible frames' loss beside that of the hidden ones: 0 as HuBERT and BEATs
    have it, up to 1; SPEAR mixes both."""

    def __post_init__(self) -> None:
        if not 0 <= self.visible_weight <= 1:
            raise ConfigError(
                f"prediction.visible_weight must be in [0, 1], but is {self.visible_weight}"
            )


def prediction_loss(
    scores: Float[Tensor, "b k t v"],
    labels: Int[Tensor, "b k t"],
    hidden: Bool[Tensor, "b t"],
    real: Bool[Tensor, "b t"],
    config: PredictionConfig,
) -> Float[Tensor, ""]:
    """Cross-entropy, nats a label, mean over the hidden frames; with a weight that of the visible
    ones has its share. Padding counts in neither; no hidden frame gives zero."""
    each = F.cross_entropy(scores.movedim(3, 1), labels, reduction="none").mean(1)
    weight = config.visible_weight
    loss = (1 - weight) * _mean(each, hidden & real)
    if weight:
        loss = loss + weight * _mean(each, ~hidden & real)
    return loss


def accuracy(
    scores: Float[Tensor, "b k t v"],
    labels: Int[Tensor, "b k t"],
    which: Bool[Tensor, "b t"],
) -> tuple[int, int]:
    """Labels of these frames that are told right, and how many there are."""
    right = (scores.argmax(-1) == labels).transpose(1, 2)[which]
    return int(right.sum()), right.numel()


def _mean(each: Float[Tensor, "b t"], which: Bool[Tensor, "b t"]) -> Float[Tensor, ""]:
    return each.masked_fill(~which, 0.0).sum() / which.sum().clamp(min=1)
