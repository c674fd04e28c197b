"""A stack of pre-norm transformer blocks: causal with a cache, or seeing both sides."""

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Num
from torch import Tensor, nn

from uslm_tokenizer.nn.attention import Attention, KVCache, Rotary


class SwiGLU(nn.Module):
    """Gated feed-forward layer (Shazeer 2020); as many weights as a plain one of width 4 d."""

    def __init__(self, dim: int, hidden_dim: int | None = None) -> None:
        super().__init__()
        hidden = hidden_dim or max(64, int(dim * 8 / 3) // 64 * 64)
        self.up = nn.Linear(dim, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        gate, value = self.up(x).chunk(2, dim=-1)
        mixed: Tensor = self.down(F.silu(gate) * value)
        return mixed


class Block(nn.Module):
    """Attention, then feed-forward, each normalised before and added back."""

    def __init__(
        self, dim: int, num_heads: int, dropout: float = 0.0, condition_dim: int = 0
    ) -> None:
        super().__init__()
        self.attention = Attention(dim, num_heads)
        self.feed_forward = SwiGLU(dim)
        self.attention_norm = nn.LayerNorm(dim, bias=False)
        self.feed_forward_norm = nn.LayerNorm(dim, bias=False)
        self.dropout = nn.Dropout(dropout)
        # Adaptive norm (Peebles & Xie 2023): the condition scales what each layer reads. It
        # starts at zero, so that every condition begins as the same network.
        self.scales = nn.Linear(condition_dim, 2 * dim) if condition_dim else None
        if self.scales is not None:
            nn.init.zeros_(self.scales.weight)
            nn.init.zeros_(self.scales.bias)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        rotary: Rotary,
        *,
        mask: Bool[Tensor, "b 1 #t all"] | None = None,
        causal: bool = False,
        condition: Float[Tensor, "b c"] | None = None,
        cache: KVCache | None = None,
        layer: int = 0,
    ) -> Float[Tensor, "b t d"]:
        scales: tuple[Tensor | None, Tensor | None] = (None, None)
        if self.scales is not None:
            assert condition is not None
            first, second = self.scales(condition)[:, None].chunk(2, dim=-1)
            scales = (1 + first, 1 + second)
        y = _scaled(self.attention_norm(x), scales[0])
        y = self.attention(y, rotary, mask=mask, causal=causal, cache=cache, layer=layer)
        x = x + self.dropout(y)
        y = _scaled(self.feed_forward_norm(x), scales[1])
        return cast(Tensor, x + self.dropout(self.feed_forward(y)))


def _scaled(x: Tensor, scale: Tensor | None) -> Tensor:
    return x if scale is None else x * scale


class Stack(nn.Module):
    """Blocks in a row and a final norm; a subclass says what they are made of."""

    def __init__(
        self, dim: int, num_heads: int, blocks: Iterable[nn.Module], norm: nn.Module
    ) -> None:
        super().__init__()
        self.dim, self.num_heads = dim, num_heads
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm

    @property
    def num_layers(self) -> int:
        """How many blocks there are."""
        return len(self.blocks)

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.dim // self.num_heads

    def new_cache(self, batch_size: int, capacity: int) -> KVCache:
        """An empty cache for `batch_size` rows of up to `capacity` tokens."""
        weight = next(self.parameters())
        shape = (self.num_layers, batch_size, self.num_heads, capacity, self.head_dim)
        return KVCache(
            keys=weight.new_zeros(shape),
            values=weight.new_zeros(shape),
            valid=torch.zeros(batch_size, capacity, dtype=torch.bool, device=weight.device),
        )

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        positions: Num[Tensor, "b t"],
        *,
        mask: Bool[Tensor, "b 1 #t all"] | None = None,
        causal: bool = False,
        condition: Float[Tensor, "b c"] | None = None,
    ) -> Float[Tensor, "b t d"]:
        """All positions at once. `mask` is True where a query may look."""
        rotary = self._rotary(positions)
        for block in self.blocks:
            x = block(x, rotary, mask=mask, causal=causal, condition=condition)
        return self._finish(x, condition)

    def extend(
        self,
        x: Float[Tensor, "b t d"],
        positions: Num[Tensor, "b t"],
        cache: KVCache,
        valid: Bool[Tensor, "b t"] | None = None,
        prefix: Bool[Tensor, "b t"] | None = None,
    ) -> Float[Tensor, "b t d"]:
        """Causal attention over the cache and the new tokens, which are added to the cache.

        `valid` is False where a new token is padding (left of a shorter row); `prefix` is True for
        new tokens that see each other both ways, as a text may.
        """
        mask = cache.begin(x.shape[1], valid, prefix)
        causal = mask is None and x.shape[1] > 1
        rotary = self._rotary(positions)
        for layer, block in enumerate(self.blocks):
            x = block(x, rotary, mask=mask, causal=causal, cache=cache, layer=layer)
        cache.end(x.shape[1])
        return self._finish(x, None)

    def _rotary(self, positions: Num[Tensor, "b t"]) -> Rotary | None:
        """How attention knows of positions."""
        return Rotary.at(positions, self.head_dim)

    def _finish(
        self, x: Float[Tensor, "b t d"], condition: Float[Tensor, "b c"] | None
    ) -> Float[Tensor, "b t d"]:
        """The final norm."""
        return cast(Tensor, self.norm(x))


class Transformer(Stack):
    """The house's own: layer norms without bias, and scales that follow a condition."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        num_layers: int,
        *,
        dropout: float = 0.0,
        condition_dim: int = 0,
    ) -> None:
        blocks = [Block(dim, num_heads, dropout, condition_dim) for _ in range(num_layers)]
        super().__init__(dim, num_heads, blocks, nn.LayerNorm(dim, bias=False))
