"""Objectives of the kinds of stage 2, as modules."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm.models.base import AcousticBatch, CodeModel
from uslm.systems.two_stage.conv_regressor import ConvRegressor
from uslm.systems.two_stage.nar import AcousticLM
from uslm.systems.two_stage.regressor import AcousticRegressor


class RegressorObjective(nn.Module):
    """The training loss as a module's `forward`, as wrappers for several devices need it."""

    def __init__(self, model: AcousticRegressor | ConvRegressor) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, batch: Any, num_known: Int[Tensor, " b"]
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """The error of the predicted input."""
        error = self.model.loss(batch)
        return error, {"input": error}


class CodeObjective(nn.Module):
    """Cross-entropy of the next codebook alone, for any model that scores codes, as VALL-E's
    NAR."""

    def __init__(self, model: CodeModel, *, label_smoothing: float) -> None:
        super().__init__()
        self.model, self.label_smoothing = model, label_smoothing

    def forward(
        self, batch: AcousticBatch, num_known: Int[Tensor, " b"]
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """Nats for each target frame; rows that show `k` codebooks are asked for codebook k, from
        0."""
        hidden = self.model(batch, num_known)
        total = hidden.new_zeros((), dtype=torch.float32)
        for codebook in sorted({*num_known.tolist()}):
            asked = batch.is_target & (num_known == codebook)[:, None]
            total = total + F.cross_entropy(
                self.model.logits(hidden[asked], codebook),
                batch.codes[:, codebook][asked],
                reduction="sum",
                label_smoothing=self.label_smoothing if self.training else 0.0,
            )
        mean = total / batch.is_target.sum().clamp(min=1)
        return mean, {"next": mean}


class LMObjective(nn.Module):
    """The training loss as a module's `forward`, as wrappers for several devices need it."""

    vectors: Tensor | None

    def __init__(
        self,
        model: AcousticLM,
        vectors: Float[Tensor, "codebooks v e"] | None,
        *,
        input_weight: float,
        ahead_weight: float,
        label_smoothing: float,
    ) -> None:
        """See NARRecipe; `vectors` are the codec's, for the expected input."""
        super().__init__()
        self.model = model
        self.input_weight, self.ahead_weight = input_weight, ahead_weight
        self.label_smoothing = label_smoothing
        self.register_buffer("vectors", vectors, persistent=False)

    def forward(
        self, batch: AcousticBatch, num_known: Int[Tensor, " b"]
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """The next codebook's cross-entropy and, with less weight, that of the codebooks after
        it."""
        smoothing = self.label_smoothing if self.training else 0.0
        losses = self.model.loss(batch, num_known, smoothing=smoothing, vectors=self.vectors)
        total = torch.stack(list(losses.following.values())).mean()
        parts = {"next": total}
        if losses.ahead:
            ahead = torch.stack(list(losses.ahead.values())).mean()
            total = total + self.ahead_weight * ahead
        if losses.input_error is not None:
            total = total + self.input_weight * losses.input_error
            parts["input"] = losses.input_error
        return total, parts
