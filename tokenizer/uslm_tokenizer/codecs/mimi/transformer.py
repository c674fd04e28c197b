"""The transformers between Mimi's convolutions: causal, with a limited view and scaled branches."""

from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from uslm_tokenizer.nn.attention import Attention, KVCache, Rotary
from uslm_tokenizer.nn.transformer import Stack, window_mask

ROOM = 2
"""Chunks of a stream are kept in a cache of so many windows, so that it is seldom moved."""


class ScaledBlock(nn.Module):
    """Attention, then two layers; each branch is normalised before, and scaled (Touvron et al.
    2021, LayerScale) where it is added back."""

    def __init__(self, dim: int, num_heads: int, hidden_dim: int, scale: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, num_heads)
        self.attention_scale = nn.Parameter(torch.full((dim,), scale))
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, hidden_dim, bias=False)
        self.down = nn.Linear(hidden_dim, dim, bias=False)
        self.feed_forward_scale = nn.Parameter(torch.full((dim,), scale))

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
        assert condition is None
        y = self.attention_norm(x)
        y = self.attention(y, rotary, mask=mask, causal=causal, cache=cache, layer=layer)
        x = x + self.attention_scale * y
        y = self.down(F.gelu(self.up(self.feed_forward_norm(x))))
        return cast(Tensor, x + self.feed_forward_scale * y)


class WindowedTransformer(Stack):
    """Over latents [b, d, t]: each frame sees itself and the `window` - 1 before it."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        num_layers: int,
        *,
        hidden_dim: int,
        window: int,
        scale: float,
    ) -> None:
        blocks = [ScaledBlock(dim, num_heads, hidden_dim, scale) for _ in range(num_layers)]
        super().__init__(dim, num_heads, blocks, nn.Identity())
        self.window = window

    def whole(self, latents: Float[Tensor, "b d t"]) -> Float[Tensor, "b d t"]:
        """All frames at once."""
        x, t = latents.transpose(1, 2), latents.shape[2]
        positions = torch.arange(t, device=x.device).expand(len(x), -1)
        fits = t <= self.window
        mask = None if fits else window_mask(t, self.window, x.device).expand(len(x), -1, -1, -1)
        return cast(Tensor, self(x, positions, mask=mask, causal=fits).transpose(1, 2))

    def init_state(self, batch_size: int) -> KVCache:
        """The beginning of a stream."""
        cache = self.new_cache(batch_size, ROOM * self.window, self.window)
        cache.positions = torch.zeros(batch_size, device=cache.stored.device)
        return cache

    def next(self, latents: Float[Tensor, "b d t"], state: KVCache) -> Float[Tensor, "b d t"]:
        """The next frames of a stream, however many."""
        made = [latents[..., :0]]
        # No more at once than a cache has room for beside what they see.
        for part in torch.split(latents, (ROOM - 1) * self.window, dim=2):
            if part.shape[2] == 0:
                continue
            assert state.positions is not None
            steps = torch.arange(part.shape[2], device=part.device)
            positions = state.positions[:, None] + steps
            made.append(self.extend(part.transpose(1, 2), positions, state).transpose(1, 2))
            state.positions = state.positions + part.shape[2]
        return torch.cat(made, dim=2)
