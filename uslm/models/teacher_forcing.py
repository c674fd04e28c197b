"""Base of the training batches of every stage 1: tensors, and targets that do not count."""

from dataclasses import dataclass
from typing import TypeVar

import torch

Rows = TypeVar("Rows", bound="TeacherForced")

NOT_PREDICTED = -100
"""In place of a target where nothing is to be predicted; PyTorch's losses pass it over."""


@dataclass
class TeacherForced:
    """Rows padded at the right; every field is a tensor."""

    def to(self: Rows, device: torch.device) -> Rows:
        """The same rows on another device."""
        return type(self)(**{name: tensor.to(device) for name, tensor in vars(self).items()})
