"""ConvNeXt blocks over time (Liu et al. 2022), as in Vocos (Siuzdak 2023)."""

from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class ConditionalNorm(nn.Module):
    """Layer norm over the width whose scale and shift depend on a condition, such as a bit rate."""

    def __init__(self, dim: int, num_conditions: int) -> None:
        super().__init__()
        self.dim = dim
        self.scale = nn.Embedding(num_conditions, dim)
        self.shift = nn.Embedding(num_conditions, dim)
        nn.init.ones_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(
        self, x: Float[Tensor, "b t d"], condition: Int[Tensor, " b"]
    ) -> Float[Tensor, "b t d"]:
        normal = F.layer_norm(x, (self.dim,), eps=1e-6)
        scaled: Tensor = normal * self.scale(condition)[:, None] + self.shift(condition)[:, None]
        return scaled


class ConvNeXtBlock(nn.Module):
    """Depth-wise convolution over 7 frames, then a two-layer network per frame, added back."""

    def __init__(self, dim: int, hidden_dim: int, scale: float, num_conditions: int = 0) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(dim, dim, 7, padding=3, groups=dim)
        self.norm = _norm(dim, num_conditions)
        self.up = nn.Linear(dim, hidden_dim)
        self.down = nn.Linear(hidden_dim, dim)
        self.scale = nn.Parameter(torch.full((dim,), scale))

    def forward(
        self, x: Float[Tensor, "b t d"], condition: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b t d"]:
        y = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        y = _normalised(self.norm, y, condition)
        mixed: Tensor = x + self.scale * self.down(F.gelu(self.up(y)))
        return mixed


class ConvNeXt(nn.Module):
    """An input convolution and a stack of blocks; sees 3 * (num_layers + 1) frames to each side.

    With `num_conditions` the norms, but for the last, depend on the condition of each row. What
    `position_net` makes of the input convolution's output [b d t] goes into the blocks.
    """

    def __init__(
        self,
        in_dim: int,
        dim: int,
        hidden_dim: int,
        num_layers: int,
        *,
        num_conditions: int = 0,
        position_net: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.input = nn.Conv1d(in_dim, dim, 7, padding=3)
        self.position_net = position_net
        self.input_norm = _norm(dim, num_conditions)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(dim, hidden_dim, 1.0 / num_layers, num_conditions)
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    @property
    def context_frames(self) -> int:
        """Frames to each side that a frame depends on; a position net may see more."""
        return 3 * (len(self.blocks) + 1)

    def forward(
        self,
        x: Float[Tensor, "b t c"],
        mask: Bool[Tensor, "b t"] | None = None,
        condition: Int[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b t d"]:
        """Frames outside `mask` count as zeros, as beyond the ends."""
        keep = None if mask is None else mask[..., None]
        x = self.input((x if keep is None else x * keep).transpose(1, 2))
        if self.position_net is not None:
            assert keep is None, "a position net sees all frames"
            x = self.position_net(x)
        x = _normalised(self.input_norm, x.transpose(1, 2), condition)
        for block in self.blocks:
            x = block(x if keep is None else x * keep, condition)
        return cast(Tensor, self.norm(x))


def _norm(dim: int, num_conditions: int) -> nn.Module:
    return ConditionalNorm(dim, num_conditions) if num_conditions else nn.LayerNorm(dim, eps=1e-6)


def _normalised(norm: nn.Module, x: Tensor, condition: Tensor | None) -> Tensor:
    if isinstance(norm, ConditionalNorm):
        assert condition is not None, "these norms depend on a condition"
        return cast(Tensor, norm(x, condition))
    return cast(Tensor, norm(x))
