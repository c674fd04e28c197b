"""Rows that join, leave, fail and end in any order: each says what it says alone, and ends."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from uslm.generate.autoregressive import StopRule
from uslm.generate.sampling import Sampling
from uslm.models.base import SemanticModel
from uslm.serving.pool import PoolRow, UnitPool
from uslm.systems.registry import model_class

NUM_SLOTS = 3
NUM_KINDS = 4
UNREADABLE = 10**6
"""A text id that no model has: its row fails in prefill."""


@functools.cache
def tiny_model(name: str) -> Any:
    torch.manual_seed(0)
    found = model_class(name)
    return found(found.tiny_config()).eval()


def make_row(kind: int, owner: int) -> PoolRow:
    """Few kinds, so that many rows of a run are equal in everything but who they are."""
    num_frames = 3 + 4 * kind
    return PoolRow(
        text_ids=torch.arange(1, 4 + 6 * kind) % 50,
        prompt_units=torch.arange(4 * (kind % 3)),
        stop=StopRule(min_frames=num_frames // 2, max_frames=num_frames),
        sampling=Sampling(temperature=0.7 + 0.1 * (kind % 2)),
        generator=torch.Generator().manual_seed(kind),
        owner=owner,
    )


@functools.cache
def alone(name: str, kind: int) -> tuple[list[int], list[int], str | None]:
    pool, row = UnitPool(tiny_model(name), NUM_SLOTS), make_row(kind, 0)
    pool.join(row)
    while pool.num_rows:
        pool.step()
    return row.units, row.text_positions, row.stop_reason


class PoolMachine(RuleBasedStateMachine):
    """A pool of few slots, and whoever comes and goes."""

    model = ""

    def __init__(self) -> None:
        super().__init__()
        self.pool = UnitPool(tiny_model(self.model), NUM_SLOTS)
        self.there: list[tuple[int, PoolRow]] = []  # joined, and has not left

    @rule(kinds=st.lists(st.integers(0, NUM_KINDS - 1), max_size=6), owner=st.integers(0, 3))
    def join(self, kinds: list[int], owner: int) -> None:
        for kind in kinds:
            row = make_row(kind, owner)
            self.pool.join(row)
            self.there.append((kind, row))

    @rule(owner=st.integers(0, 3))
    def fail(self, owner: int) -> None:
        row = make_row(0, owner)
        row.text_ids = torch.tensor([UNREADABLE])
        self.pool.join(row)
        for _ in range(400):
            if row.error is not None:
                break
            self.pool.step()
        assert isinstance(row.error, IndexError) and not row.units
        self.pool.leave(row)

    @rule(times=st.integers(1, 12))
    def step(self, times: int) -> None:
        for _ in range(times):
            self.pool.step()

    @rule(data=st.data())
    def leave(self, data: Any) -> None:
        if self.there:
            index = data.draw(st.integers(0, len(self.there) - 1))
            kind, row = self.there.pop(index)
            units, _, _ = alone(self.model, kind)
            assert row.units == units[: len(row.units)]
            self.pool.leave(row)

    @invariant()
    def nobody_is_lost(self) -> None:
        going = [row for _, row in self.there if row.stop_reason is None]
        assert self.pool.num_rows == len(going)
        assert all(row.error is None for row in going)

    def teardown(self) -> None:
        most = self.pool.num_rows * 40
        for _ in range(most):
            self.pool.step()
        for kind, row in self.there:
            assert (row.units, row.text_positions, row.stop_reason) == alone(self.model, kind)
            self.pool.leave(row)
        assert self.pool.num_rows == 0 and not self.pool._freed


@pytest.mark.parametrize("model", ["semantic_lm", "monotonic_lm"])
def test_rows_are_told_apart(model: str) -> None:
    machine = type("Machine", (PoolMachine,), {"model": model})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=8,
            phases=[Phase.generate],  # to make a failure smaller would take minutes
        ),
    )


def test_an_error_in_the_shared_step_ends_those_who_share_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those who wait begin afterwards, and say what they say alone."""
    model: SemanticModel = tiny_model("monotonic_lm")
    pool, rows = UnitPool(model, NUM_SLOTS), [make_row(kind, kind) for kind in range(1, 6)]
    for row in rows:
        pool.join(row)
    with monkeypatch.context() as patch:

        def fail(*arguments: Any) -> Any:
            raise RuntimeError("out of memory")

        patch.setattr(model, "step", fail)
        pool.step()
    assert [str(row.error) for row in rows] == ["out of memory"] * 3 + ["None"] * 2
    while pool.num_rows:
        pool.step()
    for kind, row in enumerate(rows[3:], start=4):
        assert (row.units, row.text_positions, row.stop_reason) == alone("monotonic_lm", kind)


def test_whoever_has_waited_longest_is_next() -> None:
    """Behind two requests of many rows, one of a single row waits for the first slot that is free;
    and those two go on in turn."""
    pool = UnitPool(tiny_model("monotonic_lm"), 2)
    greedy = {owner: [make_row(2, owner) for _ in range(4)] for owner in (0, 1)}
    for rows in greedy.values():
        for row in rows:
            pool.join(row)
    for _ in range(4):
        pool.step()
    modest = make_row(1, 2)
    pool.join(modest)
    while modest.stop_reason is None:
        pool.step()
    ended = [[row.stop_reason is not None for row in rows] for rows in greedy.values()]
    assert sum(map(sum, ended)) <= 3
    while pool.num_rows:
        pool.step()
        shares = [sum(len(row.units) for row in rows) for rows in greedy.values()]
        assert abs(shares[0] - shares[1]) <= 2 * len(alone("monotonic_lm", 2)[0])
