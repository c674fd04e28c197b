"""A transformer over the few tokens of one frame, with weights of its own for each of them.

The depth transformer of Moshi (Defossez et al. 2024, section 3.4.1), after the RQ-Transformer (Lee
et al. 2022). There are no positions: each step has its own weights, and so knows its place.
"""

import math
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from uslm_tokenizer.nn.attention import KVCache
from uslm_tokenizer.nn.llama import EPSILON, RMSNorm


class StepLinear(nn.Module):
    """A linear layer without bias for each step of a sequence of so many."""

    def __init__(self, num_steps: int, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_steps, out_dim, in_dim))
        nn.init.uniform_(self.weight, -math.sqrt(1 / in_dim), math.sqrt(1 / in_dim))

    def forward(self, x: Float[Tensor, "n k d"], start: int = 0) -> Float[Tensor, "n k e"]:
        """`start` is the step of the first column."""
        weight = self.weight[start : start + x.shape[1]]
        return torch.einsum("nkd,ked->nke", x, weight)


class DepthBlock(nn.Module):
    """Attention, then a gated feed-forward layer, each normalised before and added back."""

    def __init__(
        self, num_steps: int, dim: int, num_heads: int, hidden_dim: int, epsilon: float
    ) -> None:
        super().__init__()
        assert dim % num_heads == 0
        self.num_heads = num_heads
        self.attention_norm = RMSNorm(dim, epsilon=epsilon)
        self.qkv = StepLinear(num_steps, dim, 3 * dim)
        self.out = StepLinear(num_steps, dim, dim)
        self.feed_forward_norm = RMSNorm(dim, epsilon=epsilon)
        self.up = StepLinear(num_steps, dim, 2 * hidden_dim)
        self.down = StepLinear(num_steps, hidden_dim, dim)

    def forward(
        self,
        x: Float[Tensor, "n k d"],
        start: int,
        mask: Bool[Tensor, "n 1 #k all"] | None,
        cache: KVCache | None,
        layer: int,
    ) -> Float[Tensor, "n k d"]:
        qkv = self.qkv(self.attention_norm(x), start).unflatten(-1, (3, self.num_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        causal = mask is None and x.shape[1] > 1
        seen = F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal)
        x = x + self.out(seen.transpose(1, 2).flatten(2), start)
        gate, value = self.up(self.feed_forward_norm(x), start).chunk(2, dim=-1)
        return cast(Tensor, x + self.down(F.silu(gate) * value, start))


class DepthTransformer(nn.Module):
    """Blocks in a row, causal over the steps; no norm at the end."""

    def __init__(
        self,
        num_steps: int,
        dim: int,
        num_heads: int,
        num_layers: int,
        *,
        hidden_dim: int | None = None,
        epsilon: float = EPSILON,
    ) -> None:
        """`hidden_dim` is the width inside the feed-forward layers, 4 * dim unless given."""
        super().__init__()
        self.num_steps, self.dim, self.num_heads = num_steps, dim, num_heads
        self.blocks = nn.ModuleList(
            DepthBlock(num_steps, dim, num_heads, hidden_dim or 4 * dim, epsilon)
            for _ in range(num_layers)
        )

    def new_cache(self, batch_size: int) -> KVCache:
        """An empty cache for the steps of one frame of each row."""
        weight = next(self.parameters())
        head_dim = self.dim // self.num_heads
        shape = (len(self.blocks), 2, batch_size, self.num_heads, self.num_steps, head_dim)
        valid = torch.ones(batch_size, self.num_steps, dtype=torch.bool, device=weight.device)
        return KVCache(stored=weight.new_zeros(shape), valid=valid)

    def forward(
        self, x: Float[Tensor, "n k d"], cache: KVCache | None = None
    ) -> Float[Tensor, "n k d"]:
        """The steps of whole frames; with a cache, the next steps of frames that have begun."""
        start = 0 if cache is None else cache.length
        mask = None if cache is None else cache.begin(x.shape[1])
        for layer, block in enumerate(self.blocks):
            x = block(x, start, mask, cache, layer)
        if cache is not None:
            cache.end(x.shape[1])
        return x
