"""Make-A-Voice's effects: spoiled mechanisms show nothing, and what is measured is so by hand."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("make_a_voice_voice", "prompts shuffled"),
        ("make_a_voice_content", "units shuffled"),
        ("make_a_voice_pitch", "pitch shuffled"),
        ("make_a_voice_decoder", "codes shuffled"),
    ],
)
def test_a_spoiled_mechanism_shows_nothing(
    shown: Callable[..., Any], name: str, broken: str
) -> None:
    assert shown(name, broken, scale=0.02, num_test=12) is not True


def test_a_contour_is_turned_upside_down_about_its_mean(effects: Any) -> None:
    module = import_module("make_a_voice")
    contour = torch.tensor([0.0, 10, 12, 14, 0, 16])
    mirrored = module._mirrored(contour)
    assert mirrored.tolist() == [0, 16, 14, 12, 0, 10]
    assert module._correlation(mirrored, contour) == 0.0, "too few voiced frames to tell"
    long = torch.arange(1.0, 9)
    assert module._correlation(module._mirrored(long), long) == pytest.approx(-1)
    assert module._correlation(3 * long + 1, long) == pytest.approx(1)
    assert module._correlation(torch.ones(8), long) == 0


def test_rows_are_read_in_the_order_of_the_stage(effects: Any) -> None:
    row_of = import_module("effect_voices").row_of
    codes = torch.zeros(2, 2, dtype=torch.long)
    row = row_of(torch.tensor([1, 2]), codes, torch.tensor([3, 4]), codes)
    assert [span.kind for span in row] == ["prompt codes", "units", "pitch", "codes"]
    assert row[0].ids.tolist() == [0, 64] * 2
    assert [span.kind for span in row_of(torch.tensor([1]), None, None)] == ["units"]
