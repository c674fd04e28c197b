"""Rows come and go between steps, and say to the last bit what they say alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from uslm.generate.autoregressive import StopRule, UnitRow, speak_units
from uslm.generate.sampling import Sampling
from uslm.models.base import SemanticModel
from uslm.serving.pool import PoolRow, UnitPool
from uslm.systems.registry import MODELS, model_class

SEMANTIC = [name for name in MODELS if issubclass(model_class(name), SemanticModel)]


@pytest.fixture(params=SEMANTIC)
def model(request: pytest.FixtureRequest) -> Any:
    found = model_class(request.param)
    return found(found.tiny_config()).eval()


def make_row(number: int, owner: str = "someone", num_frames: int = 0) -> PoolRow:
    """A row with a text, a prompt, limits, a taste and a seed of its own."""
    num_frames = num_frames or 8 + 4 * number
    return PoolRow(
        text_ids=torch.arange(1, 4 + 7 * number) % 50,
        prompt_units=torch.arange(5 * (number % 3)),
        stop=StopRule(min_frames=num_frames, max_frames=num_frames + 3),
        sampling=Sampling(temperature=0.7 + 0.1 * (number % 2), repetition_penalty=1.1),
        generator=torch.Generator().manual_seed(number),
        owner=owner,
    )


class Listening(UnitPool):
    """Keeps the logits from which each row drew."""

    def __init__(self, model: SemanticModel, num_slots: int) -> None:
        super().__init__(model, num_slots)
        self.received: dict[int, list[Tensor]] = {}

    def _draw(self, logits: Tensor, seated: list[tuple[int, PoolRow]]) -> Any:
        for slot, row in seated:
            self.received.setdefault(id(row), []).append(logits[slot].clone())
        return super()._draw(logits, seated)

    def run(self, *rows: PoolRow) -> None:
        while not all(row.stop_reason for row in rows):
            self.step()


def test_what_a_row_sees_does_not_depend_on_who_is_beside_it(model: SemanticModel) -> None:
    """Not even in the last bit, and not on its slot or when it came."""
    together = Listening(model, 3)
    rows = [make_row(number) for number in range(5)]
    # Long enough for the slots to grow while others are in the middle of it.
    rows[1] = make_row(1, num_frames=70)
    for row in rows[:2]:
        together.join(row)
    for _ in range(5):
        together.step()
    for row in rows[2:]:
        together.join(row)
    together.run(*rows)
    assert together.num_rows == 0

    for number, row in enumerate(rows):
        alone, same = Listening(model, 3), make_row(number, num_frames=70 * (number == 1))
        alone.join(same)
        alone.run(same)
        assert (same.units, same.stop_reason) == (row.units, row.stop_reason)
        assert torch.equal(
            torch.stack(alone.received[id(same)]), torch.stack(together.received[id(row)])
        )


def test_a_row_says_what_it_says_without_a_pool(model: SemanticModel) -> None:
    pool, rows = UnitPool(model, 4), [make_row(number) for number in range(4)]
    for row in rows:
        pool.join(row)
    while pool.num_rows:
        pool.step()
    for number, row in enumerate(rows):
        same = make_row(number)
        spoken: list[list[UnitRow]] = list(
            speak_units(
                model, [same.text_ids], [same.prompt_units], [same.stop],
                sampling=same.sampling, generators=[same.generator],
            )
        )  # fmt: skip
        [whole] = spoken[-1]
        assert (whole.units, whole.stop_reason) == (row.units, row.stop_reason)
        assert whole.text_positions == row.text_positions
        assert whole.pitches == row.pitches
        if (
            model.needs_alignment
        ):  # a text position that only goes forward, on the text or its EOS token
            assert len(row.text_positions) == len(row.units)
            assert sorted(row.text_positions) == row.text_positions
            assert max(row.text_positions, default=0) <= len(row.text_ids)
        else:
            assert not row.text_positions


def test_a_row_that_leaves_makes_room_and_changes_nothing(model: SemanticModel) -> None:
    pool, rows = UnitPool(model, 2), [make_row(number) for number in range(3)]
    for row in rows:
        pool.join(row)
    pool.step()
    assert [len(row.units) for row in rows] == [1, 1, 0]
    pool.leave(rows[0])
    while pool.num_rows:
        pool.step()
    assert len(rows[0].units) == 1 and rows[0].stop_reason is None
    alone, same = UnitPool(model, 2), make_row(2)
    alone.join(same)
    while alone.num_rows:
        alone.step()
    assert same.units == rows[2].units


def test_a_waiting_row_may_leave_too_and_one_that_has_ended_may_always(
    model: SemanticModel,
) -> None:
    pool, rows = UnitPool(model, 1), [make_row(number) for number in range(2)]
    for row in rows:
        pool.join(row)
    pool.step()
    pool.leave(rows[1])
    pool.leave(rows[1])
    assert pool.num_rows == 1
    while pool.num_rows:
        pool.step()
    pool.leave(rows[0])
    assert rows[0].stop_reason and not rows[1].units


def test_slots_are_shared_out_among_owners(model: SemanticModel) -> None:
    pool = UnitPool(model, 3)
    greedy, modest = [make_row(n, "greedy") for n in range(5)], make_row(5, "modest")
    for row in (*greedy, modest):
        pool.join(row)
    pool.step()
    assert len(modest.units) == 1
    assert sum(len(row.units) for row in greedy) == 2


def test_nothing_to_do_is_no_step(model: SemanticModel) -> None:
    pool = UnitPool(model, 2)
    pool.step()
    assert (pool.steps, pool.row_steps) == (0, 0)
