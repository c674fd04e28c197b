"""Repeating undoes de-duplicating, row by row."""

import pytest
import torch

from uslm_tokenizer.sequence.dedup import deduplicate, deduplicate_batch, repeat, repeat_batch


def test_an_example() -> None:
    values, counts = deduplicate(torch.tensor([7, 7, 7, 2, 2, 7]))
    assert values.tolist() == [7, 2, 7] and counts.tolist() == [3, 2, 1]


@pytest.mark.parametrize("length", [0, 1, 2, 50])
def test_repeat_undoes_deduplicate(length: int) -> None:
    units = torch.randint(3, (length,))
    values, counts = deduplicate(units)
    assert (values[1:] != values[:-1]).all()
    assert torch.equal(repeat(values, counts), units)


def test_a_row_of_a_batch_is_the_row_alone() -> None:
    units, lengths = torch.randint(3, (5, 30)), torch.tensor([30, 0, 1, 17, 29])
    runs = deduplicate_batch(units, lengths)
    assert runs.values.shape == runs.counts.shape == (5, int(runs.lengths.max()))
    for row in range(5):
        values, counts = deduplicate(units[row, : lengths[row]])
        length = int(runs.lengths[row])
        assert torch.equal(runs.values[row, :length], values)
        assert torch.equal(runs.counts[row, :length], counts)
        assert not runs.values[row, length:].any() and not runs.counts[row, length:].any()
    repeated, repeated_lengths = repeat_batch(runs)
    assert torch.equal(repeated_lengths, lengths)
    assert torch.equal(repeated, units * (torch.arange(30) < lengths[:, None]))


def test_wrong_counts() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        repeat(torch.tensor([4, 5]), torch.tensor([1, -1]))


def test_wrong_lengths() -> None:
    with pytest.raises(ValueError, match="lengths must be"):
        deduplicate_batch(torch.zeros(2, 3, dtype=torch.long), torch.tensor([3, 4]))
