"""A k-means start fills the codebook; where it is forgotten nothing shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_it_shows_and_a_forgotten_start_does_not(shown: Callable[..., Any]) -> None:
    assert shown("kmeans_start") is True
    assert shown("kmeans_start", "start forgotten") is False
