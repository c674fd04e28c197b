"""Activations of the convolutional codecs."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

Activation = Literal["elu", "snake"]


class Snake(nn.Module):
    """x + sin(alpha x)^2 / alpha, a bias towards periodic signals (Ziyin et al. 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Float[Tensor, "b c n"]) -> Float[Tensor, "b c n"]:
        return x + (self.alpha + 1e-9).reciprocal() * torch.sin(self.alpha * x).square()


def activation(name: Activation, channels: int) -> nn.Module:
    """The activation of that name for so many channels."""
    return Snake(channels) if name == "snake" else nn.ELU()
