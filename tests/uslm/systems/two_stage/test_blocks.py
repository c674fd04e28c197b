"""Blocks cover every unit once, and do not depend on when units become known."""

from __future__ import annotations

import itertools

import pytest
import torch

from uslm.models.base import AcousticRow
from uslm.systems.two_stage.blocks import BlockSchedule, CodeBlocks
from uslm_tokenizer.errors import ConfigError

SCHEDULE = BlockSchedule(
    first_frames=3, growth=2.0, max_frames=10, lookahead_frames=2, context_frames=5
)


def fake_fill(row: AcousticRow) -> torch.Tensor:
    """Codes that tell the unit and the absolute frame they were made for."""
    target = row.codes[:, row.num_context :].clone()
    target[1] = torch.arange(target.shape[1]) + row.start + row.num_context
    return target


def fill(
    num_units: int, known: list[int], *, low_latency: bool
) -> tuple[torch.Tensor, list[AcousticRow]]:
    """Codes and blocks when `known` units are known at each call, then all of them."""
    units = list(range(100, 100 + num_units))
    blocks = CodeBlocks(
        SCHEDULE, torch.zeros(3, 4, dtype=torch.long), None, low_latency=low_latency, lag=4
    )
    rows = []
    for count, is_final in [*((n, False) for n in known), (num_units, True)]:
        while (row := blocks.plan(units[:count], is_final)) is not None:
            rows.append(row)
            blocks.accept(fake_fill(row))
    return blocks.codes, rows


@pytest.mark.parametrize("num_units", [0, 1, 8, 9, 10, 15, 17, 40])
@pytest.mark.parametrize("low_latency", [True, False])
def test_every_unit_is_filled_once(num_units: int, low_latency: bool) -> None:
    codes, _ = fill(num_units, [], low_latency=low_latency)
    assert codes[0].tolist() == list(range(100, 100 + num_units))
    assert codes[1].tolist() == list(range(num_units))


@pytest.mark.parametrize("num_units", [9, 10, 11, 17, 40])
@pytest.mark.parametrize("step", [1, 3, 7])
def test_blocks_do_not_depend_on_when_units_are_known(num_units: int, step: int) -> None:
    _, at_once = fill(num_units, [], low_latency=True)
    _, bit_by_bit = fill(num_units, list(range(0, num_units + 1, step)), low_latency=True)
    for one, other in itertools.zip_longest(at_once, bit_by_bit):
        assert torch.equal(one.codes, other.codes)
        assert (one.num_context, one.start) == (other.num_context, other.start)


def test_the_first_block_is_small_and_later_ones_see_context_and_lookahead() -> None:
    _, rows = fill(40, [], low_latency=True)
    first, second = rows[:2]
    assert (first.num_context, first.codes.shape[1]) == (0, 3 + 4 + 2)  # block, lag, lookahead
    assert (second.start, second.num_context) == (7 - 5, 5)
    assert second.codes.shape[1] == 5 + 6 + 2
    assert rows[-1].codes[0, -1] == 139


def test_a_block_is_told_the_symbols_of_its_own_frames_and_context() -> None:
    text = torch.arange(20, 30)
    blocks = CodeBlocks(SCHEDULE, torch.zeros(3, 4, dtype=torch.long), text)
    units, text_positions = list(range(100, 117)), [frame // 2 for frame in range(17)]
    seen = []
    while (row := blocks.plan(units, True, text_positions)) is not None:
        assert row.text_positions is not None
        begin = row.start
        assert row.text_positions.tolist() == text_positions[begin : begin + row.codes.shape[1]]
        assert row.spoken_ids().tolist() == [-1] * 4 + text[row.text_positions].tolist()
        seen.append(row.num_context)
        blocks.accept(fake_fill(row))
    assert seen == [0, 5]


def test_units_taken_back_after_they_were_filled_stay() -> None:
    blocks = CodeBlocks(SCHEDULE, torch.zeros(3, 4, dtype=torch.long), None)
    row = blocks.plan(list(range(12)), False)
    assert row is not None
    blocks.accept(fake_fill(row))
    assert blocks.plan(list(range(4)), True) is None
    assert blocks.num_frames == 10


@pytest.mark.parametrize("wrong", [{"first_frames": 0}, {"growth": 0.5}, {"context_frames": -1}])
def test_a_schedule_that_cannot_work_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        BlockSchedule(**wrong)  # type: ignore[arg-type]
