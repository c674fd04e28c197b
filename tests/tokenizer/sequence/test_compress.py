"""Compressed sequences: as long as promised, the frames all accounted for, padding unheard."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.sequence.compress import (
    Compressed,
    QueryPooling,
    merge,
    num_kept,
    pool,
    prune,
    restore,
)

Way = Callable[[Tensor, Tensor, float], Compressed]


def by_size(x: Tensor, lengths: Tensor, kept: float) -> Compressed:
    """Pruned by the size of the vectors."""
    return prune(x, x.norm(dim=-1), lengths, kept)


def by_query(x: Tensor, lengths: Tensor, kept: float) -> Compressed:
    """By a query that is not zero, as it would be after training."""
    torch.manual_seed(0)
    pooling = QueryPooling(x.shape[-1])
    torch.nn.init.normal_(pooling.query)
    with torch.no_grad():
        made: Compressed = pooling(x, lengths, kept)
    return made


WAYS: dict[str, Way] = {"pool": pool, "merge": merge, "prune": by_size, "query": by_query}


@pytest.mark.parametrize("kept", [1.0, 0.5, 0.3, 1 / 16])
@pytest.mark.parametrize("way", WAYS)
def test_length_and_time_are_kept(way: str, kept: float) -> None:
    x = torch.randn(3, 40, 6)
    lengths = torch.tensor([40, 17, 1])
    made = WAYS[way](x, lengths, kept)
    assert made.lengths.tolist() == num_kept(lengths, kept).tolist()
    assert made.durations.sum(1).tolist() == lengths.tolist()
    for row, count in enumerate(made.lengths.tolist()):
        assert bool((made.durations[row, :count] > 0).all()), "each vector stands for some frame"
        assert not bool(made.durations[row, count:].any())
        assert not bool(made.vectors[row, count:].any())
    assert restore(made).shape[1] == 40


@pytest.mark.parametrize("way", WAYS)
def test_padding_is_not_heard(way: str) -> None:
    x = torch.randn(2, 30, 6)
    lengths = torch.tensor([30, 13])
    together = WAYS[way](x, lengths, 0.4)
    alone = WAYS[way](x[1:, :13], lengths[1:], 0.4)
    count = int(alone.lengths[0])
    torch.testing.assert_close(together.vectors[1, :count], alone.vectors[0])
    assert torch.equal(together.durations[1, :count], alone.durations[0])


@pytest.mark.parametrize("way", ["pool", "merge", "prune"])
def test_all_kept_is_the_same(way: str) -> None:
    x = torch.randn(2, 9, 4)
    torch.testing.assert_close(restore(WAYS[way](x, torch.tensor([9, 9]), 1.0)), x)


def test_runs_are_merged_where_they_are_and_come_back() -> None:
    """Three sounds of unequal length: merging finds the borders, pooling blurs them."""
    sounds = torch.eye(3)[torch.tensor([0] * 7 + [1] * 2 + [2] * 3)][None]
    lengths = torch.tensor([12])
    merged = merge(sounds, lengths, 0.25)
    assert merged.durations.tolist() == [[7, 2, 3]]
    torch.testing.assert_close(restore(merged), sounds)
    assert not torch.equal(restore(pool(sounds, lengths, 0.25)), sounds)


def test_the_highest_scores_stay_in_order() -> None:
    x = torch.arange(6.0)[None, :, None]
    scores = torch.tensor([[0.0, 5.0, 1.0, 1.0, 9.0, 2.0]])
    made = prune(x, scores, torch.tensor([6]), 0.5)
    assert made.vectors[0, :, 0].tolist() == [1, 4, 5]
    assert made.durations.tolist() == [[4, 1, 1]], "what lies before the first goes to the first"


def test_a_query_learns_what_to_look_at() -> None:
    """One frame of each window is marked and carries the value: the mean hides it in noise."""
    torch.manual_seed(0)
    pooling = QueryPooling(8)
    optimizer = torch.optim.Adam(pooling.parameters(), 0.03)
    losses = []
    for _ in range(150):
        x = torch.randn(16, 4, 8)
        marked = torch.randint(4, (16,))
        x[:, :, 0] = 0
        x[torch.arange(16), marked, 0] = 4
        wanted = x[torch.arange(16), marked, 1]
        made = pooling(x, torch.full((16,), 4), 0.25)
        loss = (made.vectors[:, 0, 1] - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-20:]) / 20 < 0.35 < 0.6 < losses[0]


@pytest.mark.parametrize("kept", [0.0, -1.0, 1.5])
def test_a_share_is_a_share(kept: float) -> None:
    with pytest.raises(ValueError, match="kept must be above 0"):
        pool(torch.zeros(1, 4, 2), torch.tensor([4]), kept)
