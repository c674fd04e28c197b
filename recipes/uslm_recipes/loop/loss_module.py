"""A model's own loss as a module's `forward`, as wrappers for several devices need it."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn


class LossModule(nn.Module):
    """A model with a method `loss` of a batch."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, batch: Any) -> Float[Tensor, ""]:
        """The loss, which training makes small."""
        loss: Tensor = self.model.loss(batch)
        return loss
