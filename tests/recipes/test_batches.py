"""Batches: bounded, complete, the same for the same seed, and resumable anywhere."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from uslm_recipes.data.batches import (
    CropSampler,
    SecondsBatches,
    World,
    pad_ids,
    pad_waveforms,
)
from uslm_tokenizer.errors import UserError

SECONDS = np.random.default_rng(0).uniform(0.5, 12, 300)


def epoch(batches: SecondsBatches) -> list[NDArray[np.int64]]:
    return [next(batches) for _ in range(len(batches))]


def test_an_epoch_has_every_utterance_once_and_batches_within_budget() -> None:
    batches = SecondsBatches(SECONDS, 40, seed=1)
    for _ in range(2):
        train_batch = epoch(batches)
        assert sorted(np.concatenate(train_batch).tolist()) == list(range(300))
        assert all(len(batch) * SECONDS[batch].max() <= 40 for batch in train_batch)
        padded = sum(len(batch) * SECONDS[batch].max() for batch in train_batch)
        assert SECONDS.sum() / padded > 0.85  # little padding


def test_an_utterance_longer_than_the_budget_stands_alone() -> None:
    batches = SecondsBatches([1, 1, 50], 10, seed=1)
    assert [2] in [batch.tolist() for batch in epoch(batches)]


def test_only_the_given_indices_are_drawn() -> None:
    batches = SecondsBatches(SECONDS, 40, seed=1, indices=[5, 7, 11])
    assert sorted(np.concatenate(epoch(batches)).tolist()) == [5, 7, 11]


def test_order_depends_on_seed_and_epoch() -> None:
    one, same, other = (SecondsBatches(SECONDS, 40, seed=s) for s in (1, 1, 2))
    first = [batch.tolist() for batch in epoch(one)]
    assert first == [batch.tolist() for batch in epoch(same)]
    assert first != [batch.tolist() for batch in epoch(other)]
    assert first != [batch.tolist() for batch in epoch(one)]


def test_processes_share_an_epoch_out() -> None:
    ranks = [SecondsBatches(SECONDS, 40, seed=1, world=World(r, 3)) for r in range(3)]
    assert len({len(rank) for rank in ranks}) == 1
    train_batch = [batch for rank in ranks for batch in epoch(rank)]
    assert set(np.concatenate(train_batch).tolist()) == set(range(300))
    whole = {tuple(batch) for batch in epoch(SecondsBatches(SECONDS, 40, seed=1))}
    assert {tuple(batch) for batch in train_batch} == whole and len(train_batch) - len(whole) < 3


def test_fewer_batches_than_processes() -> None:
    ranks = [SecondsBatches([1.0, 1.0], 10, seed=1, world=World(r, 4)) for r in range(4)]
    assert [len(next(rank)) for rank in ranks] == [2] * 4


@pytest.mark.parametrize("taken", [0, 1, 17, 60, 150])
def test_streams_go_on_from_their_state(taken: int) -> None:
    whole = SecondsBatches(SECONDS, 40, seed=3)
    list(itertools.islice(whole, taken))
    resumed = SecondsBatches(SECONDS, 40, seed=3)
    resumed.load_state_dict(whole.state_dict())
    for _ in range(70):
        assert next(whole).tolist() == next(resumed).tolist()


def test_a_place_behind_the_last_of_larger_batches_is_the_next_epoch() -> None:
    small, large = (SecondsBatches(SECONDS, size, seed=3) for size in (20, 200))
    list(itertools.islice(small, len(small) - 1))
    large.load_state_dict(small.state_dict())
    assert (large.epoch, large.position) == (1, 0)
    next(large)


def test_state_of_another_seed_is_told() -> None:
    state = SecondsBatches(SECONDS, 40, seed=3).state_dict()
    with pytest.raises(UserError, match="seed 3"):
        SecondsBatches(SECONDS, 40, seed=4).load_state_dict(state)


@pytest.mark.parametrize("budget", [0, -1])
def test_budget_must_be_positive(budget: float) -> None:
    with pytest.raises(UserError, match="seconds_per_batch"):
        SecondsBatches(SECONDS, budget, seed=0)


def test_crops_lie_inside_and_follow_the_durations() -> None:
    lengths = np.array([100, 1000, 3000, 50])
    sampler = CropSampler(lengths, 100, batch_size=64, seed=0, align=10)
    train_batch = [next(sampler) for _ in range(100)]
    indices = np.concatenate([crops.indices for crops in train_batch])
    starts = np.concatenate([crops.starts for crops in train_batch])
    assert set(indices.tolist()) == {0, 1, 2}  # the last is too short
    assert (starts % 10 == 0).all() and (starts + 100 <= lengths[indices]).all()
    assert (starts[indices == 2] > 2800).any() and (starts[indices == 2] == 0).any()
    share = np.bincount(indices, minlength=3)[:3] / len(indices)
    np.testing.assert_allclose(share, lengths[:3] / 4100, atol=0.03)


def test_crops_resume_and_differ_between_processes() -> None:
    lengths = np.full(50, 1000)
    whole = CropSampler(lengths, 100, 8, seed=0)
    other = CropSampler(lengths, 100, 8, seed=0, world=World(1, 2))
    assert next(whole).starts.tolist() != next(other).starts.tolist()
    resumed = CropSampler(lengths, 100, 8, seed=0)
    resumed.load_state_dict(whole.state_dict())
    assert next(whole).starts.tolist() == next(resumed).starts.tolist()


def test_crops_need_one_utterance_that_is_long_enough() -> None:
    with pytest.raises(UserError, match="crop of 100"):
        CropSampler([10, 20], 100, 8, seed=0)


def test_padding() -> None:
    waveforms, lengths = pad_waveforms([torch.ones(3), torch.ones(5)])
    assert waveforms.shape == (2, 1, 5) and lengths.tolist() == [3, 5]
    assert waveforms[0, 0].tolist() == [1, 1, 1, 0, 0]
    ids, lengths = pad_ids([torch.tensor([4, 5]), torch.tensor([6])], padding=-1)
    assert ids.tolist() == [[4, 5], [6, -1]] and lengths.tolist() == [2, 1]
