"""Intervals hold the value, narrow with more samples, and are the same each time."""

from __future__ import annotations

import pytest
import torch

from uslm.evaluation.metrics.bootstrap import Estimate, estimate


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_value_is_total_over_size() -> None:
    result = estimate([1, 0, 3], [10, 5, 5], generator=drawn())
    assert result.value == pytest.approx(4 / 20)
    assert result.low <= result.value <= result.high
    assert result.count == 3


def test_without_sizes_it_is_the_mean() -> None:
    assert estimate([1.0, 2.0, 6.0], generator=drawn()).value == pytest.approx(3)


def test_equal_samples_leave_no_doubt() -> None:
    assert estimate([0.5] * 7, generator=drawn()) == Estimate(value=0.5, low=0.5, high=0.5, count=7)


def test_more_samples_narrow_the_interval() -> None:
    few, many = ([0.0, 1.0] * half for half in (5, 200))
    narrow, wide = estimate(many, generator=drawn()), estimate(few, generator=drawn())
    assert narrow.high - narrow.low < (wide.high - wide.low) / 3


def test_covers_the_true_mean_about_as_often_as_it_says() -> None:
    source = torch.Generator().manual_seed(5)
    samples = torch.randn(100, 40, generator=source).tolist()
    intervals = [estimate(row, generator=drawn(), resamples=400) for row in samples]
    assert 85 <= sum(each.low <= 0 <= each.high for each in intervals) <= 100


def test_same_seed_same_interval() -> None:
    assert estimate([1.0, 2.0, 4.0], generator=drawn(3)) == estimate(
        [1.0, 2.0, 4.0], generator=drawn(3)
    )


@pytest.mark.parametrize(("totals", "sizes"), [([], None), ([1.0], [0.0]), ([1.0], [1.0, 2.0])])
def test_refuses(totals: list[float], sizes: list[float] | None) -> None:
    with pytest.raises(ValueError, match="must"):
        estimate(totals, sizes, generator=drawn())
