"""ConvNeXt blocks over time (Liu et al. 2022), as in Vocos (Siuzdak 2023)."""

from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


class ConvNeXtBlock(nn.Module):
    """Depth-wise convolution over 7 frames, then a two-layer network per frame, added back."""

    def __init__(self, dim: int, hidden_dim: int, scale: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.up = nn.Linear(dim, hidden_dim)
        self.down = nn.Linear(hidden_dim, dim)
        self.scale = nn.Parameter(torch.full((dim,), scale))

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        y = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        mixed: Tensor = x + self.scale * self.down(F.gelu(self.up(self.norm(y))))
        return mixed


class ConvNeXt(nn.Module):
    """An input convolution and a stack of blocks; sees 3 * (num_layers + 1) frames to each side."""

    def __init__(self, in_dim: int, dim: int, hidden_dim: int, num_layers: int) -> None:
        super().__init__()
        self.input = nn.Conv1d(in_dim, dim, 7, padding=3)
        self.input_norm = nn.LayerNorm(dim, eps=1e-6)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(dim, hidden_dim, 1.0 / num_layers) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    @property
    def context_frames(self) -> int:
        """Frames to each side that a frame depends on."""
        return 3 * (len(self.blocks) + 1)

    def forward(
        self, x: Float[Tensor, "b t c"], mask: Bool[Tensor, "b t"] | None = None
    ) -> Float[Tensor, "b t d"]:
        """Frames outside `mask` count as zeros, as beyond the ends."""
        keep = None if mask is None else mask[..., None]
        x = x if keep is None else x * keep
        x = self.input_norm(self.input(x.transpose(1, 2)).transpose(1, 2))
        for block in self.blocks:
            x = block(x if keep is None else x * keep)
        return cast(Tensor, self.norm(x))
