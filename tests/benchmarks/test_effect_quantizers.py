"""Effects of quantizers and of what they are taught: shown, and not where they are spoiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_distillation_puts_content_first_and_neither_cut_nor_shuffled_does(
    shown: Callable[..., Any],
) -> None:
    assert shown("distillation", scale=0.25) is True
    assert shown("distillation", "labels shuffled", scale=0.25) is False
    assert shown("distillation", "gradient cut", scale=0.05) is False
    assert shown("distillation_voice", "gradient cut", scale=0.05) is False


def test_masked_channels_even_out_and_unmasked_ones_do_not(shown: Callable[..., Any]) -> None:
    assert shown("mcrvq", scale=0.1) is True
    assert shown("mcrvq", "nothing masked", scale=0.1) is False


def test_codebooks_of_one_size_let_by_the_same(shown: Callable[..., Any]) -> None:
    assert shown("bottleneck_content", scale=0.2) is True
    for broken in ("all of one size", "labels shuffled"):
        assert shown("bottleneck_content", broken, scale=0.2) is False
    assert shown("bottleneck_voice", "all of one size", scale=0.2) is False


def test_masked_codes_follow_what_is_said_and_not_what_others_say(
    shown: Callable[..., Any],
) -> None:
    assert shown("masked_infill", scale=0.3) is True
    assert shown("masked_infill", "conditions of other speech", scale=0.1) is False
