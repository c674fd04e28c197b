"""Effects of Vec-Tok run; where a mechanism is spoiled nothing shows, and shares are as by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("vec_tok_voice", "another's mean"),
        ("vec_tok_content", "labels shuffled"),
        ("inverse_kmeans", "prompt cut off"),
        ("mean_replaced", "mean kept"),
        ("acoustic_bpe", "units shuffled"),
        ("bpe_language_model", "units shuffled"),
    ],
)
def test_a_spoiled_mechanism_shows_nothing(
    shown: Callable[..., Any], name: str, broken: str
) -> None:
    assert shown(name, broken, scale=0.05) is not True


def test_the_mechanisms_show_on_made_up_speech(shown: Callable[..., Any]) -> None:
    """Of those that take no training: speakers have a pitch and a tract of their own."""
    assert shown("acoustic_bpe") is True


def test_the_share_that_is_told_by_hand(effects: Any) -> None:
    share = sys.modules["effect_told"].share_told
    rows = [[(0, "a"), (0, "a")], [(1, "b"), (1, "b")]]
    assert share(rows).rate == pytest.approx(1.0)
    nothing = [[(0, "a"), (1, "a")], [(0, "b"), (1, "b")]]
    assert share(nothing).rate == pytest.approx(0.0)
    assert len(share(rows).totals) == len(share(rows).sizes) == 2
