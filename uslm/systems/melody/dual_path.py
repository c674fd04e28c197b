"""Dual-path blocks of MeLoDy: first across segments, then within each.

Frames are cut into segments that overlap by half, so that every frame lies in two; a long row is
short in both directions, and neither path sees more than about the square root of it.

    frames      0 1 2 3 4 5 6 7          segments of 4:  . . 0 1 | 0 1 2 3 | 2 3 4 5 | ...
    coarse      place k of every segment attends to place k of all, and to the units
    fine        a recurrent network runs through each segment, both ways, scaled by the angle

The published fine path is an SRU, for its speed on a GPU; here it is a GRU, which PyTorch has.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from uslm_tokenizer.nn.attention import Attention, Rotary
from uslm_tokenizer.nn.transformer import SwiGLU


class CrossAttention(nn.Module):
    """Queries of frames, keys and values of units, all with their places in time."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query, self.out = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.key_value = nn.Linear(dim, 2 * dim, bias=False)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        rotary: Rotary,
        units: Float[Tensor, "b u d"],
        unit_rotary: Rotary,
        mask: Bool[Tensor, "b 1 1 u"],
    ) -> Float[Tensor, "b t d"]:
        q = rotary.rotate(self.query(x).unflatten(-1, (1, self.num_heads, -1)))
        kv = self.key_value(units).unflatten(-1, (2, self.num_heads, -1))
        k, v = unit_rotary.rotate(kv[:, :, :1]), kv[:, :, 1:]
        q, k, v = (part[:, :, 0].transpose(1, 2) for part in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, mask)
        mixed: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return mixed


class DualPathBlock(nn.Module):
    """One block: across segments, then within."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.coarse_norm, self.unit_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.feed_norm, self.fine_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.coarse = Attention(dim, num_heads)
        self.units = CrossAttention(dim, num_heads)
        self.feed = SwiGLU(dim)
        self.film = nn.Linear(dim, 2 * dim)
        self.fine = nn.GRU(dim, dim // 2, num_layers=2, bidirectional=True, batch_first=True)
        self.fine_out = nn.Linear(dim, dim)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(
        self,
        x: Float[Tensor, "b s k d"],
        valid: Bool[Tensor, "b s k"],
        angle: Float[Tensor, "b s k d"],
        rotary: Rotary,
        units: Float[Tensor, "b u d"],
        unit_rotary: Rotary,
        unit_mask: Bool[Tensor, "b u"],
    ) -> Float[Tensor, "b s k d"]:
        """`rotary` is of the frames [b k, s]."""
        b, s, k, d = x.shape
        across = x.transpose(1, 2).flatten(0, 1)  # b k, s, d
        # A place without any frame sees itself: what it makes is not looked at.
        seen = valid.transpose(1, 2).flatten(0, 1)[:, None, None]
        seen = seen | torch.eye(s, dtype=torch.bool, device=x.device)
        across = across + self.coarse(self.coarse_norm(across), rotary, mask=seen)
        # All places of a row ask the same units.
        asked = self.unit_norm(across).reshape(b, k * s, d)
        places = Rotary(*(part.reshape(b, k * s, 1, 1, -1) for part in (rotary.cos, rotary.sin)))
        of_units = self.units(asked, places, units, unit_rotary, unit_mask[:, None, None])
        across = across + of_units.reshape(b * k, s, d)
        across = across + self.feed(self.feed_norm(across))
        x = across.unflatten(0, (b, k)).transpose(1, 2)
        scale, shift = self.film(angle).chunk(2, dim=-1)
        within = (self.fine_norm(x) * (1 + scale) + shift) * valid[..., None]
        y, _ = self.fine(within.flatten(0, 1))
        # Some devices lay out what a recurrent layer makes by time, and say it is by row.
        y = y.clone(memory_format=torch.contiguous_format)
        fine: Tensor = x + self.fine_out(y).view(b, s, k, d)
        return fine * valid[..., None]


def to_segments(x: Shaped[Tensor, "b t *d"], size: int) -> Shaped[Tensor, "b s k *d"]:
    """Segments of `size` frames, each half a segment after the one before; zeros beyond both
    ends."""
    half = size // 2
    missing = half + -x.shape[1] % half
    beyond = (0, 0) * (x.ndim - 2)
    padded = F.pad(x, (*beyond, half, missing))
    cut = padded.unfold(1, size, half)  # b s *d k
    return cut.movedim(-1, 2)


def from_segments(x: Float[Tensor, "b s k d"], length: int) -> Float[Tensor, "b t d"]:
    """Mean of the two segments that each frame lies in."""
    b, s, k, d = x.shape
    half = k // 2
    halves = x.reshape(b, s, 2, half, d)
    # Half j of the padded row is the first of segment j and the second of the one before.
    joined = halves[:, 1:, 0] + halves[:, :-1, 1]
    return joined.reshape(b, (s - 1) * half, d)[:, :length] / 2
