"""Layers of the patch model: attention in a window, and attention of one sequence to another."""

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from uslm_tokenizer.nn.attention import KVCache
from uslm_tokenizer.nn.transformer import SwiGLU, Transformer


class CrossAttention(nn.Module):
    """Attention to another sequence, then a feed-forward layer, each added back."""

    def __init__(self, dim: int, memory_dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim, bias=False)
        self.memory_norm = nn.LayerNorm(memory_dim, bias=False)
        self.query = nn.Linear(dim, dim, bias=False)
        self.key_value = nn.Linear(memory_dim, 2 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        self.feed_forward_norm = nn.LayerNorm(dim, bias=False)
        self.feed_forward = SwiGLU(dim)

    def forward(
        self,
        x: Float[Tensor, "b q d"],
        memory: Float[Tensor, "b m e"],
        mask: Bool[Tensor, "b q m"],
    ) -> Float[Tensor, "b q d"]:
        """`mask` is True where a query may look; each must see something."""
        heads = {"h": self.num_heads}
        q = rearrange(self.query(self.norm(x)), "b q (h d) -> b h q d", **heads)
        k, v = rearrange(
            self.key_value(self.memory_norm(memory)), "b m (s h d) -> s b h m d", s=2, **heads
        )
        seen = scaled_dot_product_attention(q, k, v, mask[:, None])
        x = x + self.out(rearrange(seen, "b h q d -> b q (h d)"))
        mixed: Tensor = x + self.feed_forward(self.feed_forward_norm(x))
        return mixed


def window_mask(
    num_queries: int, num_keys: int, window: int, device: torch.device
) -> Bool[Tensor, "1 1 q k"]:
    """Queries are the last of the keys; each sees itself and the `window` - 1 before it."""
    query = torch.arange(num_keys - num_queries, num_keys, device=device)[:, None]
    key = torch.arange(num_keys, device=device)
    return ((key <= query) & (key > query - window))[None, None]


def run_in_window(
    stack: Transformer,
    x: Float[Tensor, "b t d"],
    positions: Int[Tensor, "b t"],
    window: int,
    cache: KVCache | None = None,
    between: nn.ModuleList | None = None,
    memory: Float[Tensor, "b m e"] | None = None,
    memory_mask: Bool[Tensor, "b t m"] | None = None,
) -> Float[Tensor, "b t d"]:
    """A causal stack whose layers see `window` tokens; after each, one of `between` looks at the
    memory. With a cache, `x` are the tokens that follow those in it."""
    before = 0 if cache is None else cache.length
    mask = window_mask(x.shape[1], before + x.shape[1], window, x.device)
    mask = mask.expand(len(x), -1, -1, -1)
    rotary = stack._rotary(positions)
    for layer, block in enumerate(stack.blocks):
        x = block(x, rotary, mask=mask, cache=cache, layer=layer)
        if between is not None:
            x = between[layer](x, memory, memory_mask)
    if cache is not None:
        cache.end(x.shape[1])
    return stack._finish(x, None)
