"""Whatever the weights: the alignment goes forward as the model says, symbol by symbol, and speech
does not end before the text does."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from uslm.generate.autoregressive import StopRule, speak_units
from uslm.generate.sampling import Sampling
from uslm.serving.pool import PoolRow, UnitPool
from uslm.systems.two_stage.alignment_cache import AlignmentCache
from uslm.systems.two_stage.monotonic import MonotonicLM

BOUNDED = settings(max_examples=8)


def build(seed: int, advance_threshold: float = 0.8, most: int = 8) -> MonotonicLM:
    """Random weights, in which the EOS token is always among the likeliest."""
    torch.manual_seed(seed)
    model = MonotonicLM(
        replace(MonotonicLM.tiny_config(), advance_threshold=advance_threshold, max_advance=most)
    )
    return model.eval()


def speak(model: MonotonicLM, text: torch.Tensor, seed: int, *, pooled: bool) -> PoolRow:
    row = PoolRow(
        text_ids=text,
        prompt_units=torch.zeros(0, dtype=torch.long),
        stop=StopRule(min_frames=0, max_frames=400, max_run=400, loop_length=400),
        sampling=Sampling(temperature=4.0, top_k=0, top_p=1.0),
        generator=torch.Generator().manual_seed(seed),
        owner=0,
    )
    if pooled:
        pool = UnitPool(model, 2)
        pool.join(row)
        while pool.num_rows:
            pool.step()
        return row
    steps = speak_units(
        model, [row.text_ids], [row.prompt_units], [row.stop],
        sampling=row.sampling, generators=[row.generator],
    )  # fmt: skip
    for [said] in steps:
        row.units, row.text_positions, row.stop_reason = (
            said.units,
            said.text_positions,
            said.stop_reason,
        )
    return row


@pytest.mark.parametrize("pooled", [False, True])
def test_no_symbol_is_skipped_and_none_is_left(pooled: bool) -> None:
    """A model that moves by one symbol at most visits each; and only after the last it may end,
    though at each step the end is as likely as any unit."""

    @BOUNDED
    @given(seed=st.integers(0, 99), num_symbols=st.integers(1, 6))
    def check(seed: int, num_symbols: int) -> None:
        model, text = build(seed, most=1), torch.arange(1, num_symbols + 1)
        row = speak(model, text, seed, pooled=pooled)
        assert row.stop_reason == "end"
        assert row.text_positions[0] == 0
        steps = torch.tensor(row.text_positions).diff()
        assert bool(((steps == 0) | (steps == 1)).all())
        assert row.text_positions[-1] >= num_symbols - 1

    check()


@pytest.mark.parametrize("pooled", [False, True])
def test_the_alignment_moves_as_soon_as_it_is_told(pooled: bool) -> None:
    """With a threshold of 0 it moves at each step."""
    row = speak(build(0, advance_threshold=0.0, most=1), torch.arange(1, 9), 0, pooled=pooled)
    assert row.text_positions[:8] == list(range(8))


@BOUNDED
@given(
    moves=st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=1, max_size=30),
    last=st.integers(0, 9),
)
def test_the_alignment_goes_as_far_as_the_likeliest_move(
    moves: list[list[float]], last: int
) -> None:
    """Counted anew here, from the probabilities of moving by 0, 1, 2 and 3 symbols."""
    cache = AlignmentCache(torch.zeros(1, 2, 1, 1, 1, 4), torch.ones(1, 1, dtype=torch.bool))
    cache.begin_reading(torch.arange(10.0)[None, :, None].expand(1, 10, 4), [last])
    place, accumulated_advance = 0, 0.0
    for weights in moves:
        total = sum(weights)
        shares = [w / total for w in weights] if total > 0 else [1.0, 0.0, 0.0, 0.0]
        cache.move([shares], [True], 0.8)
        assert cache.pointer.spoken == [place]
        accumulated_advance += 1 - shares[0]
        if accumulated_advance >= 0.8:
            likeliest = 1 + shares[1:].index(max(shares[1:]))
            place, accumulated_advance = min(place + likeliest, last), 0.0
        assert cache.pointer.places == [place]
        assert bool((cache.pointed == place).all())
