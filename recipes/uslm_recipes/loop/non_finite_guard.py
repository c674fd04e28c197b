"""Names the batches of steps that are not finite, and ends a run that has too many of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from uslm_recipes.loop.log import RunLog
from uslm_recipes.loop.progress import Progress
from uslm_tokenizer.errors import GenerationError


class TrainingDiverged(GenerationError):
    """Gradients or weights are no longer finite; the last checkpoint is from before."""


@dataclass
class NonFiniteGuard:
    """Collects whether gradients were finite; asks the device about it only now and then."""

    max_in_a_row: int
    current: list[Tensor] = field(default_factory=list)
    """For each optimizer, whether the gradients of the current step were finite."""
    unseen: list[tuple[Tensor, int, object]] = field(default_factory=list)
    """The same for steps not yet looked at, with their number and batch."""
    in_a_row: int = 0

    def end_step(self, step: int, batch: object) -> None:
        """Step number `step` is over; `batch` names its data."""
        self.unseen += [(finite, step, batch) for finite in self.current]
        self.current.clear()

    def look(self, progress: Progress, log: RunLog) -> None:
        """Name the batches of skipped steps; too many in a row raise TrainingDiverged."""
        if not self.unseen:
            return
        flags = torch.stack([finite for finite, _, _ in self.unseen]).cpu().tolist()
        for finite, (_, step, batch) in zip(flags, self.unseen, strict=True):
            self.in_a_row = 0 if finite else self.in_a_row + 1
            if finite:
                continue
            progress.skipped_steps += 1
            log.record("skipped", step, {"batch": str(batch), "reason": "gradients not finite"})
            if self.in_a_row >= self.max_in_a_row:
                raise TrainingDiverged(
                    f"the gradients of {self.in_a_row} steps in a row are not finite; the last "
                    f"batch is {batch}; lower loop.learning_rate or look at that data"
                )
        self.unseen.clear()


def check_weights(models: Mapping[str, nn.Module], step: int) -> None:
    """Raise TrainingDiverged where a weight is not a number: it must not be saved."""
    for name, model in models.items():
        bad = [key for key, tensor in model.state_dict().items() if _has_nan(tensor)]
        if bad:
            raise TrainingDiverged(
                f"{name} has weights that are not a number at step {step}: {bad[:3]}; "
                "the last checkpoint is kept"
            )


def _has_nan(tensor: Tensor) -> bool:
    local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return bool(local.isnan().any())
