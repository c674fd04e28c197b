"""Self-attention, rotary positions, and the cache that makes a next step cheap."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn

SLOT_STEP = 64
"""Slots are looked at, and grow, in whole steps of so many tokens. A kernel adds up numbers in
blocks; so what a row sees in front of its end does not depend on how long others are."""


@runtime_checkable
class LayerCache(Protocol):
    """Interface of a cache, as attention uses it."""

    def append(
        self, layer: int, keys: Float[Tensor, "b h t dh"], values: Float[Tensor, "b h t dh"]
    ) -> tuple[Float[Tensor, "b h all dh"], Float[Tensor, "b h all dh"]]:
        """Take the new tokens of one layer; returns all keys and values so far."""
        ...


@dataclass
class KVCache:
    """Keys and values of all layers, allocated once; the caller holds it and passes it in.

    Rows of unequal length are aligned at their right end, so that one `length` serves all of
    them; `valid` marks the positions of each row that hold a token rather than padding.

    After `open_slots` each row is a slot that counts its own tokens, from the left end: rows come
    (`put`) and go (`free`) between steps of one token. Slots grow as they need to.
    """

    stored: Float[Tensor, "layers 2 b h capacity dh"]
    """Keys, then values."""
    valid: Bool[Tensor, "b capacity"]
    """False at padding and in free slots; True where there is no token yet."""
    length: int = 0
    padded: bool = False
    """Whether any row has padding; without it no mask is needed."""
    positions: Float[Tensor, " b"] | None = None
    """Rotary position of each row's next token, where the model keeps count here."""
    slots: list[int | None] | None = None
    """Tokens in each slot, None where it is free; None where rows are no slots."""
    places: Int[Tensor, " b"] | None = None
    """Where the next token of each slot goes."""
    window: int | None = None
    """Latest tokens that a token sees, itself among them; None: all before it. What lies further
    back is dropped where room is needed, so that a stream may go on without end."""
    stepper: object | None = None
    """What the transformer that fills this cache keeps at hand for steps of one token."""

    @property
    def capacity(self) -> int:
        """Tokens that fit in a row."""
        return self.stored.shape[4]

    @property
    def is_plain(self) -> bool:
        """Whether each row is tokens from its first place on, as many as the others, and all of
        them are seen."""
        return not self.padded and self.slots is None and self.window is None

    def num_tokens(self) -> Int[Tensor, " b"]:
        """Tokens in each row."""
        if self.slots is None:
            return self.valid[:, : self.length].sum(dim=1)
        lengths = [length or 0 for length in self.slots]
        return torch.tensor(lengths, device=self.stored.device)

    def begin(
        self,
        num_tokens: int,
        valid: Bool[Tensor, "b t"] | None = None,
        prefix: Bool[Tensor, "b t"] | None = None,
    ) -> Bool[Tensor, "b 1 #t all"] | None:
        """Make room for the next tokens of each row; returns where each may look, None where a
        plain causal order says it all. `valid` is False where a token is padding; slots have none.
        `prefix` is True for new tokens that all new tokens may see: they see both sides.
        """
        if self.slots is not None:
            assert num_tokens == 1, "slots go on by one token at a time"
            return self._begin_slots(self.slots)
        if self.window is not None and self.length + num_tokens > self.capacity:
            self._drop_old(self.window)
        start, end = self.length, self.length + num_tokens
        all_in_sight = self.window is None or end <= self.window
        assert end <= self.capacity, f"cache of {self.capacity} tokens is full"
        if valid is not None:
            self.valid[:, start:end] = valid
            self.padded = self.padded or not bool(valid.all())
        plain = not self.padded and all_in_sight
        if plain and (num_tokens == 1 or (start == 0 and prefix is None)):
            return None
        # Query i sits at position start + i: align the triangle to the right.
        triangle = torch.ones(num_tokens, end, dtype=torch.bool, device=self.valid.device)
        mask = triangle.tril(diagonal=start)[None, None]
        if self.window is not None:
            mask = mask.triu(diagonal=start - self.window + 1)
        if prefix is not None:
            mask = mask | F.pad(prefix, (start, 0))[:, None, None]
        mask = mask & self.valid[:, None, None, :end]
        # A padded query sees nothing; let it see itself, its output is never read.
        itself = torch.zeros_like(triangle).diagonal_scatter(
            triangle.new_ones(num_tokens), offset=start
        )
        return mask | itself

    def end(self, num_tokens: int) -> None:
        """The tokens have passed through all layers."""
        if self.slots is not None:
            self.slots = [None if length is None else length + 1 for length in self.slots]
        else:
            self.length += num_tokens

    def append(
        self, layer: int, keys: Float[Tensor, "b h t dh"], values: Float[Tensor, "b h t dh"]
    ) -> tuple[Float[Tensor, "b h all dh"], Float[Tensor, "b h all dh"]]:
        """Store the new tokens of one layer; returns all keys and values so far."""
        if self.places is not None:
            end, rows = self.length, torch.arange(len(self.places), device=keys.device)
            self.stored[layer, 0, rows, :, self.places] = keys[:, :, 0]
            self.stored[layer, 1, rows, :, self.places] = values[:, :, 0]
        else:
            end = self.length + keys.shape[2]
            self.stored[layer, 0, :, :, self.length : end] = keys
            self.stored[layer, 1, :, :, self.length : end] = values
        all_keys, all_values = self.stored[layer, :, :, :, :end]
        return all_keys, all_values

    def open_token(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """For one token more of plain rows, of each layer: where its key and value go,
        [2, b, h, dh]; all keys with it, [b*h, dh, all]; all values with it, [b*h, all, dh]."""
        assert self.is_plain
        assert self.length < self.capacity, f"cache of {self.capacity} tokens is full"
        seen = self.stored.narrow(4, 0, self.length + 1).flatten(2, 3)
        keys, values = seen.unbind(1)
        new = self.stored.select(4, self.length)
        return zip(new.unbind(), keys.mT.unbind(), values.unbind(), strict=True)

    def open_slots(self) -> None:
        """Turn the rows of an empty cache into free slots."""
        assert self.length == 0 and self.slots is None and self.capacity % SLOT_STEP == 0
        self.slots = [None] * self.stored.shape[2]
        self.valid = torch.zeros_like(self.valid)
        self.positions = torch.zeros(len(self.slots), device=self.stored.device)

    def put(self, slot: int, other: "KVCache") -> None:
        """Take over the only row of another cache into a free slot."""
        assert self.slots is not None and self.slots[slot] is None and other.slots is None
        length = other.length
        self._reserve(length)
        self.stored[:, :, slot, :, :length] = other.stored[:, :, 0, :, :length]
        self.valid[slot] = False
        self.valid[slot, :length] = other.valid[0, :length]
        if self.positions is not None and other.positions is not None:
            self.positions[slot] = other.positions[0]
        self.slots[slot] = length

    def free(self, slot: int) -> None:
        """The slot's row is over; what it goes on to compute is never read."""
        assert self.slots is not None and self.slots[slot] is not None
        self.slots[slot] = None
        self.valid[slot] = False

    def _drop_old(self, window: int) -> None:
        """Keep no more than a next token can see, moved to the front."""
        kept = min(self.length, window - 1)
        self.stored[..., :kept, :] = self.stored[..., self.length - kept : self.length, :].clone()
        self.valid[:, :kept] = self.valid[:, self.length - kept : self.length].clone()
        self.valid[:, kept:] = True
        self.length = kept

    def _begin_slots(self, slots: list[int | None]) -> Bool[Tensor, "b 1 1 all"]:
        # A free slot writes to its first place over and over, and sees nothing else.
        lengths = [length or 0 for length in slots]
        self._reserve(max(lengths) + 1)
        self.places = torch.tensor(lengths, device=self.stored.device)
        self.valid[torch.arange(len(slots), device=self.stored.device), self.places] = True
        self.length = _rounded(max(lengths) + 1)
        return self.valid[:, None, None, : self.length]

    def _reserve(self, length: int) -> None:
        """Grow, by half at least, if a row of this many tokens does not fit."""
        if length > self.capacity:
            more = _rounded(max(length, self.capacity * 3 // 2)) - self.capacity
            self.stored = F.pad(self.stored, (0, 0, 0, more))
            self.valid = F.pad(self.valid, (0, more))


def _rounded(length: int) -> int:
    return -(-length // SLOT_STEP) * SLOT_STEP


@dataclass(frozen=True)
class Rotary:
    """Cosines and sines of every position, computed once for all layers."""

    cos: Float[Tensor, "b t 1 1 dh"]
    sin: Float[Tensor, "b t 1 1 dh"]
    """Negative in the first half of the last axis."""

    @staticmethod
    def at(positions: Num[Tensor, "b t"], head_dim: int, base: float = 10_000.0) -> "Rotary":
        """Angles of Su et al. 2021 (RoFormer, eq. 34); positions may be fractions."""
        rates = Rotary.rates(head_dim, positions.device, base)
        angles = positions[:, :, None, None, None].float() * rates
        return Rotary(angles.cos(), angles.sin())

    @staticmethod
    def rates(head_dim: int, device: torch.device, base: float = 10_000.0) -> Float[Tensor, " dh"]:
        """Angle by which each of a head's dimensions turns from one position to the next."""
        assert head_dim % 2 == 0, "rotary positions turn pairs"
        steps = torch.arange(0, head_dim, 2, device=device, dtype=torch.float32)
        rates = base ** (-steps / head_dim)
        # The first of a pair takes minus the sine: as much as turning the other way.
        return torch.cat([-rates, rates])

    def rotate(self, x: Float[Tensor, "b t s h dh"]) -> Float[Tensor, "b t s h dh"]:
        """Turn each pair (i, i + dh/2) of `x` by its angle."""
        # A roll by half the width swaps the two of each pair; cheaper than cutting and joining.
        swapped = x.roll(x.shape[-1] // 2, dims=-1)
        return x * self.cos.to(x.dtype) + swapped * self.sin.to(x.dtype)


class Attention(nn.Module):
    """Multi-head self-attention on PyTorch's fused kernel."""

    def __init__(
        self, dim: int, num_heads: int, *, bias: bool = False, dropout: float = 0.0
    ) -> None:
        """`dropout` is the share of attention weights dropped in training."""
        super().__init__()
        assert dim % num_heads == 0
        self.num_heads, self.dropout = num_heads, dropout
        self.qkv = nn.Linear(dim, 3 * dim, bias=bias)
        self.out = nn.Linear(dim, dim, bias=bias)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        rotary: Rotary | None = None,
        *,
        mask: Bool[Tensor, "b 1 #t all"] | None = None,
        causal: bool = False,
        cache: LayerCache | None = None,
        layer: int = 0,
        lengths: Sequence[int] | None = None,
    ) -> Float[Tensor, "b t d"]:
        """`mask` is True where a query may look; `causal` needs no mask. Without `rotary`, what
        goes in already knows its place. With `lengths`, the only row is several, one after the
        other, and each sees itself only."""
        # Plain views: in a step of one token, einops would cost as much as the arithmetic.
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))  # b t s h dh
        qk = qkv[:, :, :2] if rotary is None else rotary.rotate(qkv[:, :, :2])
        q, k = qk.permute(2, 0, 3, 1, 4)
        v = qkv[:, :, 2].transpose(1, 2)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        dropout = self.dropout if self.training else 0.0
        if lengths is None:
            y = F.scaled_dot_product_attention(q, k, v, mask, dropout, causal)
        else:
            assert mask is None and cache is None
            rows = zip(*(part.split(list(lengths), dim=2) for part in (q, k, v)), strict=True)
            seen = [
                F.scaled_dot_product_attention(qs, ks, vs, None, dropout, causal)
                for qs, ks, vs in rows
            ]
            y = torch.cat(seen, dim=2)
        mixed: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return mixed
