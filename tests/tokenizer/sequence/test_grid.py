"""Grids of streams: a delay and its inverse lose nothing, and only tokens count."""

from __future__ import annotations

import pytest
import torch

from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.sequence.grid import (
    Stream,
    TokenGrid,
    at_rate,
    build_grid,
    delay,
    undelay,
)

PICTURE = [Stream(name=name, size=10, delay=d) for name, d in (("a", 0), ("b", 1), ("c", 1))]


@pytest.mark.parametrize("seed", range(20))
def test_undelaying_gives_back_any_grid(seed: int) -> None:
    source = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=source))

    streams = [Stream(name=str(k), size=draw(1, 9), delay=draw(0, 7)) for k in range(draw(1, 6))]
    b, t = draw(1, 4), draw(1, 9)
    sizes = torch.tensor([stream.size + 1 for stream in streams])
    tokens = (torch.rand(b, len(streams), t, generator=source) * sizes[:, None]).long()
    grid = TokenGrid(tokens, torch.rand(b, len(streams), t, generator=source))
    later = delay(grid, streams)
    assert later.tokens.shape[2] == t + max(stream.delay for stream in streams)
    back = undelay(later, streams)
    assert torch.equal(back.tokens, grid.tokens) and torch.equal(back.weights, grid.weights)


def test_a_delay_is_what_the_picture_shows() -> None:
    grid = delay(build_grid([torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]])], PICTURE), PICTURE)
    assert grid.tokens[0].tolist() == [[1, 2, 3, 10], [10, 4, 5, 6], [10, 7, 8, 9]]
    assert grid.weights[0].tolist() == [[1, 1, 1, 0], [0, 1, 1, 1], [0, 1, 1, 1]]


def test_what_counts_is_said_by_streams_cells_and_lengths() -> None:
    streams = [
        Stream(name="text", size=5, weight=2.0),
        Stream(name="user", size=5, weight=0.0),
    ]
    rows = [torch.tensor([[1, 5, 3], [0, 1, 2]]), torch.tensor([[4], [4]])]
    weights = [torch.tensor([[1.0, 1.0, 0.5], [1.0, 1.0, 1.0]]), torch.ones(2, 1)]
    grid = build_grid(rows, streams, weights)
    assert grid.weights.tolist() == [[[2, 0, 1], [0, 0, 0]], [[2, 0, 0], [0, 0, 0]]]
    assert grid.tokens[1].tolist() == [[4, 5, 5], [4, 5, 5]]


def test_a_slower_stream_is_held() -> None:
    assert at_rate(torch.tensor([3, 1]), 12.5, 50.0).tolist() == [3, 3, 3, 3, 1, 1, 1, 1]
    with pytest.raises(UserError, match=r"grid, 50 Hz, must be a multiple of that of F0.*75 Hz"):
        at_rate(torch.tensor([3]), 75.0, 50.0, "F0")
    with pytest.raises(UserError, match="must be a multiple"):
        at_rate(torch.tensor([3]), 20.0, 50.0)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(UserError, match="a row must have 3 streams, but has 2"):
        build_grid([torch.zeros(2, 4, dtype=torch.long)], PICTURE)
    with pytest.raises(UserError, match=r"stream 'b' must be from 0 to 10, but reach from 0 to 11"):
        build_grid([torch.tensor([[0, 0], [0, 11], [0, 0]])], PICTURE)
    short = TokenGrid(torch.zeros(1, 3, 1, dtype=torch.long), torch.ones(1, 3, 1))
    with pytest.raises(UserError, match="longer than the delay of its stream 'b', 1 steps"):
        undelay(short, PICTURE)
    with pytest.raises(ConfigError, match="delay of stream 'a' must be 0 or more, but is -1"):
        Stream(name="a", size=4, delay=-1)
