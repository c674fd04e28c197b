"""The blocks of the first transformer (Vaswani et al. 2017), as VALL-E uses them: layer norms and
projections with biases, ReLU, sine positions added to what goes in."""

import math
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Num
from torch import Tensor, nn

from uslm_tokenizer.nn.attention import Attention, KVCache, Rotary
from uslm_tokenizer.nn.transformer import Stack


class SinePositions(nn.Module):
    """Adds sines and cosines of the position in turn, times a weight, which may be learnt."""

    def __init__(self, dim: int, dropout: float = 0.0, *, learnt: bool = True) -> None:
        super().__init__()
        assert dim % 2 == 0
        self.dim = dim
        self.weight = nn.Parameter(torch.ones(1), requires_grad=learnt)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "b t d"], positions: Num[Tensor, "#b t"]
    ) -> Float[Tensor, "b t d"]:
        steps = torch.arange(0, self.dim, 2, device=x.device, dtype=torch.float32)
        angles = positions[..., None].float() * (steps * -(math.log(10_000) / self.dim)).exp()
        waves = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
        return cast(Tensor, self.dropout(x + self.weight * waves.to(x.dtype)))


class AdaptiveNorm(nn.Module):
    """A layer norm; where there is a condition, it scales and shifts what comes out."""

    def __init__(self, dim: int, condition_dim: int = 0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.to_scale_and_shift = nn.Linear(condition_dim, 2 * dim) if condition_dim else None

    def forward(
        self, x: Float[Tensor, "b t d"], condition: Float[Tensor, "b c"] | None = None
    ) -> Float[Tensor, "b t d"]:
        normal: Tensor = self.norm(x)
        if self.to_scale_and_shift is None:
            return normal
        assert condition is not None, "this norm depends on a condition"
        scale, shift = self.to_scale_and_shift(condition)[:, None].chunk(2, dim=-1)
        adapted: Tensor = scale * normal + shift
        return adapted


class ReLUBlock(nn.Module):
    """Attention, then feed-forward, each added back; normalised before (or after) each."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        dropout: float = 0.0,
        condition_dim: int = 0,
        norm_first: bool = True,
    ) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.attention_norm = AdaptiveNorm(dim, condition_dim)
        self.attention = Attention(dim, num_heads, bias=True, dropout=dropout)
        self.feed_forward_norm = AdaptiveNorm(dim, condition_dim)
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        rotary: Rotary | None = None,
        *,
        mask: Bool[Tensor, "b 1 #t all"] | None = None,
        causal: bool = False,
        condition: Float[Tensor, "b c"] | None = None,
        cache: KVCache | None = None,
        layer: int = 0,
    ) -> Float[Tensor, "b t d"]:
        def attend(y: Tensor) -> Tensor:
            mixed = self.attention(y, rotary, mask=mask, causal=causal, cache=cache, layer=layer)
            return cast(Tensor, self.dropout(mixed))

        if self.norm_first:
            x = x + attend(self.attention_norm(x, condition))
            return x + self._feed_forward(self.feed_forward_norm(x, condition))
        x = self.attention_norm(x + attend(x), condition)
        return cast(Tensor, self.feed_forward_norm(x + self._feed_forward(x), condition))

    def _feed_forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        return cast(Tensor, self.dropout(self.down(self.dropout(F.relu(self.up(x))))))


class ReLUTransformer(Stack):
    """The blocks, and a final norm where norms come first; positions are left to the caller."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        num_layers: int,
        *,
        dropout: float = 0.0,
        condition_dim: int = 0,
        norm_first: bool = True,
    ) -> None:
        blocks = [
            ReLUBlock(dim, num_heads, dropout, condition_dim, norm_first) for _ in range(num_layers)
        ]
        norm = AdaptiveNorm(dim, condition_dim) if norm_first else nn.Identity()
        super().__init__(dim, num_heads, blocks, norm)

    def _rotary(self, positions: Num[Tensor, "b t"]) -> Rotary | None:
        return None

    def _finish(
        self, x: Float[Tensor, "b t d"], condition: Float[Tensor, "b c"] | None
    ) -> Float[Tensor, "b t d"]:
        return self.norm(x, condition) if isinstance(self.norm, AdaptiveNorm) else x
