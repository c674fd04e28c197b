"""Streams of tokens side by side in time: delays, initial tokens, and which cells a loss counts.

With delays 0, 1, 1 (a cell in brackets holds the stream's initial token):

    a0 a1 a2           a0  a1  a2 [a]
    b0 b1 b2   ->     [b]  b0  b1  b2
    c0 c1 c2          [c]  c0  c1  c2

MusicGen (Copet et al. 2023) calls it a codebook pattern, Moshi (Defossez et al. 2024) the acoustic
delay.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.errors import ConfigError, UserError


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One row of a grid."""

    name: str
    """For messages."""
    size: int
    """Different tokens; the id `size` is the initial token, which stands where there is none."""
    delay: int = 0
    """Steps by which a token comes after the frame that it belongs to."""
    weight: float = 1.0
    """What a cell counts in the loss; 0: the stream is read and never predicted."""

    def __post_init__(self) -> None:
        for name, least in (("size", 1), ("delay", 0), ("weight", 0)):
            if getattr(self, name) < least:
                raise ConfigError(
                    f"{name} of stream {self.name!r} must be {least} or more, "
                    f"but is {getattr(self, name)}"
                )


@dataclass
class TokenGrid:
    """Rows of streams; no cell knows what it is, but by its stream and its weight."""

    tokens: Int[Tensor, "b k t"]
    weights: Float[Tensor, "b k t"]
    """What each cell counts in the loss; 0 at initial tokens, padding and what is only read."""

    def to(self, device: torch.device) -> "TokenGrid":
        """The same on another device."""
        return TokenGrid(self.tokens.to(device), self.weights.to(device))


def build_grid(
    rows: Sequence[Int[Tensor, "k _"]],
    streams: Sequence[Stream],
    weights: Sequence[Float[Tensor, "k _"]] | None = None,
) -> TokenGrid:
    """Rows of streams, padded at the right with initial tokens that count nothing.

    `weights` multiply those of the streams. Raises UserError for tokens that a stream has not.
    """
    for row in rows:
        if len(row) != len(streams):
            raise UserError(f"a row must have {len(streams)} streams, but has {len(row)}")
        for tokens, stream in zip(row, streams, strict=True):
            if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) <= stream.size:
                raise UserError(
                    f"tokens of stream {stream.name!r} must be from 0 to {stream.size}, but reach "
                    f"from {int(tokens.min())} to {int(tokens.max())}"
                )
    initial = initial_tokens(streams)
    own = torch.tensor([stream.weight for stream in streams])[:, None]
    length = max(row.shape[1] for row in rows)
    padded, counted = [], []
    for number, row in enumerate(rows):
        missing = length - row.shape[1]
        tokens = row.cpu()
        is_token = (tokens != initial[:, None]).float()
        share = own * is_token if weights is None else own * is_token * weights[number].cpu()
        padded.append(torch.cat([tokens, initial[:, None].expand(-1, missing)], dim=1))
        counted.append(F.pad(share, (0, missing)))
    return TokenGrid(torch.stack(padded), torch.stack(counted))


def initial_tokens(streams: Sequence[Stream]) -> Int[Tensor, " k"]:
    """The token of each stream that stands before its first one."""
    return torch.tensor([stream.size for stream in streams])


def delay(grid: TokenGrid, streams: Sequence[Stream]) -> TokenGrid:
    """Shift each stream by its delay; the result is longer by the longest delay."""
    longest = max(stream.delay for stream in streams)
    t = grid.tokens.shape[2]
    tokens = initial_tokens(streams).to(grid.tokens)[:, None].repeat(len(grid.tokens), 1, 1)
    tokens = tokens.repeat(1, 1, t + longest)
    weights = grid.weights.new_zeros(tokens.shape)
    for k, stream in enumerate(streams):
        tokens[:, k, stream.delay : stream.delay + t] = grid.tokens[:, k]
        weights[:, k, stream.delay : stream.delay + t] = grid.weights[:, k]
    return TokenGrid(tokens, weights)


def undelay(grid: TokenGrid, streams: Sequence[Stream]) -> TokenGrid:
    """Grid that `delay` was given; UserError if the grid is no longer than the longest delay."""
    longest = max(stream.delay for stream in streams)
    t = grid.tokens.shape[2] - longest
    if t < 1:
        slowest = max(streams, key=lambda stream: stream.delay)
        raise UserError(
            f"a grid must be longer than the delay of its stream {slowest.name!r}, {longest} "
            f"steps, but has {grid.tokens.shape[2]}"
        )

    def cut(cells: Tensor) -> Tensor:
        kept = [cells[:, k, s.delay : s.delay + t] for k, s in enumerate(streams)]
        return torch.stack(kept, dim=1)

    return TokenGrid(cut(grid.tokens), cut(grid.weights))


def at_rate(
    tokens: Int[Tensor, " t"], rate: float, grid_rate: float, name: str = "tokens"
) -> Int[Tensor, " n"]:
    """A slower stream at the rate of a grid, Hz: each token is held until the next one.

    Raises UserError unless the grid's rate is a multiple of the stream's.
    """
    times = round(grid_rate / rate)
    if times < 1 or abs(times * rate - grid_rate) > 1e-6 * grid_rate:
        raise UserError(
            f"the rate of the grid, {grid_rate:g} Hz, must be a multiple of that of {name}, "
            f"but that is {rate:g} Hz"
        )
    return tokens.repeat_interleave(times)
