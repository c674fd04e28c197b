"""Self-attention with rotary positions, and the cache that makes a next step cheap."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Num
from torch import Tensor, nn


@dataclass
class KVCache:
    """Keys and values of all layers, allocated once; the caller holds it and passes it in.

    Rows of unequal length are aligned at their right end, so that one `length` serves all of
    them; `valid` marks the positions of each row that hold a token rather than padding.
    """

    keys: Float[Tensor, "layers b h capacity dh"]
    values: Float[Tensor, "layers b h capacity dh"]
    valid: Bool[Tensor, "b capacity"]
    length: int = 0
    padded: bool = False
    """Whether any row has padding; without it no mask is needed."""
    positions: Float[Tensor, " b"] | None = None
    """Rotary position of each row's next token, where the model keeps count here."""

    @property
    def capacity(self) -> int:
        """Tokens that fit in a row."""
        return self.keys.shape[3]

    def append(
        self, layer: int, keys: Float[Tensor, "b h t dh"], values: Float[Tensor, "b h t dh"]
    ) -> tuple[Float[Tensor, "b h all dh"], Float[Tensor, "b h all dh"]]:
        """Store the new tokens of one layer; returns all keys and values so far."""
        end = self.length + keys.shape[2]
        assert end <= self.capacity, f"cache of {self.capacity} tokens is full"
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


@dataclass(frozen=True)
class Rotary:
    """Cosines and sines of every position, computed once for all layers."""

    cos: Float[Tensor, "b t 1 1 dh"]
    sin: Float[Tensor, "b t 1 1 dh"]
    """Negative in the first half of the last axis."""

    @staticmethod
    def at(positions: Num[Tensor, "b t"], head_dim: int, base: float = 10_000.0) -> "Rotary":
        """Angles of Su et al. 2021 (RoFormer, eq. 34); positions may be fractions."""
        steps = torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32)
        angles = positions[..., None].float() * base ** (-steps / head_dim)
        cos, sin = angles.cos(), angles.sin()
        return Rotary(
            torch.cat([cos, cos], dim=-1)[:, :, None, None],
            torch.cat([-sin, sin], dim=-1)[:, :, None, None],
        )

    def rotate(self, x: Float[Tensor, "b t s h dh"]) -> Float[Tensor, "b t s h dh"]:
        """Turn each pair (i, i + dh/2) of `x` by its angle."""
        # A roll by half the width swaps the two of each pair; cheaper than cutting and joining.
        swapped = x.roll(x.shape[-1] // 2, dims=-1)
        return x * self.cos.to(x.dtype) + swapped * self.sin.to(x.dtype)


class Attention(nn.Module):
    """Multi-head self-attention on PyTorch's fused kernel."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        assert dim % num_heads == 0 and (dim // num_heads) % 2 == 0
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        rotary: Rotary,
        *,
        mask: Bool[Tensor, "b 1 #t all"] | None = None,
        causal: bool = False,
        cache: KVCache | None = None,
        layer: int = 0,
    ) -> Float[Tensor, "b t d"]:
        """`mask` is True where a query may look; `causal` needs no mask."""
        # Plain views: in a step of one token, einops would cost as much as the arithmetic.
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))  # b t s h dh
        q, k = rotary.rotate(qkv[:, :, :2]).permute(2, 0, 3, 1, 4)
        v = qkv[:, :, 2].transpose(1, 2)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        mixed: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return mixed
