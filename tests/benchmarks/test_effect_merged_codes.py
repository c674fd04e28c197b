"""Merging the first level costs little, unless the levels above are not told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_it_shows_and_levels_that_are_not_told_do_not(shown: Callable[..., Any]) -> None:
    assert shown("merged_codes") is True
    assert shown("merged_codes", "levels above not told") is False
