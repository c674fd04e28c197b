"""The laws of drawing a token."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from uslm.generate.sampling import (
    Sampling,
    draw,
    filter_top_k,
    filter_top_p,
    penalize_repetition,
    sample,
)
from uslm_tokenizer.errors import UserError

LOGITS = torch.tensor([[2.0, 0.5, 1.0, -1.0, 0.0]])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws(logits: Tensor, sampling: Sampling, count: int = 1500) -> Tensor:
    """Shares of the tokens over many draws of one row."""
    source = seeded()
    rows = logits.expand(count, -1)
    tokens = sample(rows, sampling, [source] * count)
    return tokens.bincount(minlength=logits.shape[1]) / count


def test_tokens_come_as_often_as_softmax_says() -> None:
    shares = draws(LOGITS, Sampling(temperature=0.7, top_k=0, top_p=1.0))
    torch.testing.assert_close(shares, (LOGITS[0] / 0.7).softmax(0), atol=0.05, rtol=0)


def test_temperature_0_takes_the_likeliest() -> None:
    sampling = Sampling(temperature=0.0, top_k=0, top_p=0.5)
    assert draws(LOGITS, sampling, 10)[0] == 1
    assert draw(LOGITS, 0.0).tolist() == [0]


@pytest.mark.parametrize(("k", "kept"), [(1, 1), (3, 3), (5, 5), (9, 5), (0, 5)])
def test_top_k_keeps_the_k_likeliest(k: int, kept: int) -> None:
    filtered = filter_top_k(LOGITS, k)
    best = LOGITS[0].topk(kept).indices
    assert bool(filtered[0, best].isfinite().all())
    assert int(filtered.isfinite().sum()) == kept


@pytest.mark.parametrize("p", [0.01, 0.3, 0.6, 0.9, 0.99, 1.0])
def test_top_p_keeps_the_smallest_set_that_reaches_p(p: float) -> None:
    kept = filter_top_p(LOGITS, p)[0].isfinite()
    probabilities = LOGITS[0].softmax(0)
    assert kept[0]
    assert probabilities[kept].sum() >= p - 1e-6
    if kept.sum() > 1 and p < 1:
        assert probabilities[kept].sum() - probabilities[kept].min() < p


def test_filters_leave_at_least_one_token() -> None:
    flat = torch.zeros(1, 50)
    assert bool(filter_top_p(filter_top_k(flat, 1), 1e-9).isfinite().any())


def test_forbidden_tokens_are_never_drawn() -> None:
    logits = LOGITS.masked_fill(torch.tensor([True, False, False, True, False]), -math.inf)
    shares = draws(logits, Sampling(temperature=5.0, top_k=0, top_p=1.0))
    assert shares[0] == shares[3] == 0


def test_repetition_makes_recent_tokens_less_likely_whatever_their_sign() -> None:
    changed = penalize_repetition(LOGITS, [[0, 3]], 2.0)
    assert changed.tolist() == [[1.0, 0.5, 1.0, -2.0, 0.0]]
    assert LOGITS[0, 0] == 2.0  # the input stays
    assert penalize_repetition(LOGITS, [[]], 2.0) is LOGITS


def test_a_row_draws_the_same_alone_and_among_others() -> None:
    logits = torch.randn(4, 30, generator=seeded(1))
    sampling = Sampling(top_k=20, repetition_penalty=1.5)
    recent = [[1, 2], [], [5], [7, 7]]
    together = sample(logits, sampling, [seeded(row) for row in range(4)], recent)
    for row in range(4):
        alone = sample(logits[row : row + 1], sampling, [seeded(row)], [recent[row]])
        assert alone[0] == together[row]


def test_one_number_is_drawn_a_row() -> None:
    source, twin = seeded(3), seeded(3)
    draw(torch.randn(5, 8), 1.0, source)
    torch.rand(5, 1, dtype=torch.float64, generator=twin)
    assert torch.equal(source.get_state(), twin.get_state())


def test_extreme_logits_are_drawn_safely() -> None:
    logits = torch.tensor([[-1e30, 1e30, -math.inf], [-math.inf, -math.inf, -5.0]])
    assert sample(logits, Sampling(), [seeded(), seeded()]).tolist() == [1, 2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": 5.1},
        {"temperature": math.nan},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_p": math.nan},
        {"repetition_penalty": 0.9},
        {"repetition_window": -1},
    ],
)
def test_wrong_values_are_named(wrong: dict[str, Any]) -> None:
    [name] = wrong
    with pytest.raises(UserError, match=f"{name} must be"):
        Sampling(**wrong)
