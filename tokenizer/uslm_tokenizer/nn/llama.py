"""LLaMA's blocks (Touvron et al. 2023): RMS norms, gated feed-forward layers, no biases.

Causal with a cache it is the language model of Vevo. With norms that follow a condition it sees
both sides and is told the time of a diffusion: that of MaskGCT and of Vevo's flow matching.
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn

from uslm_tokenizer.nn.attention import Attention, KVCache, Rotary
from uslm_tokenizer.nn.transformer import Stack, SwiGLU

EPSILON = 1e-6


class RMSNorm(nn.Module):
    """Divides by the root mean square, then scales by weights, or by what a condition says."""

    def __init__(self, dim: int, condition_dim: int = 0, epsilon: float = EPSILON) -> None:
        """`epsilon` is added to the mean square."""
        super().__init__()
        self.dim, self.epsilon = dim, epsilon
        self.to_scale = nn.Linear(condition_dim, dim) if condition_dim else None
        self.weight = None if condition_dim else nn.Parameter(torch.ones(dim))
        if self.to_scale is not None:  # every condition begins as the same network
            nn.init.zeros_(self.to_scale.weight)
            nn.init.ones_(self.to_scale.bias)

    def forward(
        self, x: Float[Tensor, "b t d"], condition: Float[Tensor, "b c"] | None = None
    ) -> Float[Tensor, "b t d"]:
        normal = F.rms_norm(x, (self.dim,), self.weight, self.epsilon)
        if self.to_scale is None:
            return normal
        assert condition is not None, "this norm depends on a condition"
        scaled: Tensor = normal * self.to_scale(condition)[:, None]
        return scaled


class LlamaBlock(nn.Module):
    """Attention, then feed-forward, each normalised before and added back."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        hidden_dim: int,
        condition_dim: int = 0,
        epsilon: float = EPSILON,
    ) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(dim, condition_dim, epsilon)
        self.attention = Attention(dim, num_heads)
        self.feed_forward_norm = RMSNorm(dim, condition_dim, epsilon)
        self.feed_forward = SwiGLU(dim, hidden_dim)

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
        lengths: Sequence[int] | None = None,
    ) -> Float[Tensor, "b t d"]:
        y = self.attention_norm(x, condition)
        x = x + self.attention(
            y, rotary, mask=mask, causal=causal, cache=cache, layer=layer, lengths=lengths
        )
        return cast(Tensor, x + self.feed_forward(self.feed_forward_norm(x, condition)))


class Llama(Stack):
    """The blocks and a final norm; `forward` and `extend` are those of every stack."""

    norm: RMSNorm

    def __init__(
        self,
        dim: int,
        num_heads: int,
        num_layers: int,
        *,
        hidden_dim: int | None = None,
        condition_dim: int = 0,
        epsilon: float = EPSILON,
    ) -> None:
        """`hidden_dim` is the width inside the feed-forward layers, 4 * dim unless given."""
        blocks = [
            LlamaBlock(dim, num_heads, hidden_dim or 4 * dim, condition_dim, epsilon)
            for _ in range(num_layers)
        ]
        super().__init__(dim, num_heads, blocks, RMSNorm(dim, condition_dim, epsilon))

    def packed(
        self,
        x: Float[Tensor, "1 n d"],
        positions: Num[Tensor, "1 n"],
        lengths: Sequence[int],
        *,
        condition: Float[Tensor, "1 c"] | None = None,
    ) -> Float[Tensor, "1 n d"]:
        """Rows of `lengths` one after the other, each seeing both sides of itself.

        Nothing is computed for padding, as there is none; all rows share the condition.
        """
        rotary = self._rotary(positions)
        for block in self.blocks:
            x = block(x, rotary, condition=condition, lengths=lengths)
        return self._finish(x, condition)

    def _finish(
        self, x: Float[Tensor, "b t d"], condition: Float[Tensor, "b c"] | None
    ) -> Float[Tensor, "b t d"]:
        return cast(Tensor, self.norm(x, condition))


class DiffusionLlama(nn.Module):
    """A LLaMA that sees both sides, knows the time of a diffusion, and sees a condition.

    A condition of each frame is added to the frames; a prefix (a text, say) stands before them.
    """

    def __init__(
        self, dim: int, num_heads: int, num_layers: int, *, frame_dim: int | None = None
    ) -> None:
        """`frame_dim` is the width of the frames that go in and come out, if they are not of
        width `dim` already."""
        super().__init__()
        self.dim = dim
        self.time_mlp = mlp(dim, dim)
        self.condition_mlp = mlp(dim, dim)
        self.input_mlp = mlp(frame_dim, dim, 4 * dim) if frame_dim else nn.Identity()
        self.transformer = Llama(dim, num_heads, num_layers, condition_dim=dim)
        self.output_mlp = mlp(dim, frame_dim, 4 * dim) if frame_dim else nn.Identity()

    def forward(
        self,
        frames: Float[Tensor, "b t c"],
        time: Float[Tensor, " b"] | float,
        *,
        condition: Float[Tensor, "b t d"] | None = None,
        prefix: Float[Tensor, "b s d"] | None = None,
        mask: Bool[Tensor, "b t"] | None = None,
        prefix_mask: Bool[Tensor, "b s"] | None = None,
        offsets: Int[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b t c"]:
        """`time` is in [0, 1]; the masks are False in padding, which nothing looks at.

        `offsets` is the position of each row's first frame: the length of the prefix unless given.
        With one time for all rows, nothing is computed for padding, and zeros come out there.
        """
        x = self.input_mlp(frames)
        if condition is not None:
            x = x + self.condition_mlp(condition)
        num_before = 0 if prefix is None else prefix.shape[1]
        if prefix is not None:
            x = torch.cat([self.condition_mlp(prefix), x], dim=1)
            mask = _joined(prefix_mask, mask, prefix, frames)
        positions = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
        if offsets is not None:
            after = positions[:, num_before:] - num_before + offsets[:, None]
            positions = torch.cat([positions[:, :num_before], after], dim=1)
        hidden = self._hidden(x, positions, time, mask)
        return cast(Tensor, self.output_mlp(hidden[:, num_before:]))

    def _hidden(
        self,
        x: Float[Tensor, "b t d"],
        positions: Int[Tensor, "b t"],
        time: Float[Tensor, " b"] | float,
        mask: Bool[Tensor, "b t"] | None,
    ) -> Float[Tensor, "b t d"]:
        shared = isinstance(time, float)
        times = torch.full((1,), time, device=x.device) if isinstance(time, float) else time
        time_embedding = self.time_mlp(sinusoids(times, self.dim).to(x.dtype))
        if not shared or mask is None:
            seen = None if mask is None else mask[:, None, None]
            return cast(Tensor, self.transformer(x, positions, mask=seen, condition=time_embedding))
        lengths = mask.sum(1).tolist()
        real = self.transformer.packed(
            x[mask][None], positions[mask][None], lengths, condition=time_embedding
        )
        return torch.zeros_like(x).masked_scatter(mask[..., None], real)


def mlp(in_dim: int, out_dim: int, hidden_dim: int | None = None) -> nn.Sequential:
    """Two layers with a SiLU between; `hidden_dim` is four times `in_dim` unless given."""
    hidden = hidden_dim or 4 * in_dim
    return nn.Sequential(nn.Linear(in_dim, hidden), nn.SiLU(), nn.Linear(hidden, out_dim))


def sinusoids(time: Float[Tensor, " b"], dim: int) -> Float[Tensor, "b d"]:
    """Sines, then cosines, of the time at dim / 2 rates from 1 down to 1 / 10,000."""
    half = dim // 2
    steps = torch.arange(half, device=time.device, dtype=torch.float32)
    angles = time.float()[:, None] * (steps * -(math.log(10_000) / (half - 1))).exp()
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _joined(
    prefix_mask: Bool[Tensor, "b s"] | None,
    mask: Bool[Tensor, "b t"] | None,
    prefix: Float[Tensor, "b s d"],
    frames: Float[Tensor, "b t c"],
) -> Bool[Tensor, "b all"] | None:
    """The mask of prefix and frames; None where neither has padding."""
    if prefix_mask is None and mask is None:
        return None
    parts = zip((prefix_mask, mask), (prefix, frames), strict=True)
    return torch.cat(
        [x.new_ones(x.shape[:2], dtype=torch.bool) if m is None else m for m, x in parts], dim=1
    )
