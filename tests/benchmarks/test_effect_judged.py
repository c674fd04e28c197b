"""Effects of judged units and of patches run, and where a mechanism is spoiled nothing shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("soft_kmeans", "gradient cut"),
        ("soft_kmeans_voice", "gradient cut"),
        ("beats_labels", "labels shifted"),
        ("beats_encoder", "labels shifted"),
        ("spear_labels", "labels shifted"),
        ("last_collapse", "no weight"),
        ("last_judge", "judge forgets"),
        ("lst_patches", "global model cut off"),
        ("lst_cost", "patches of one unit"),
    ],
)
def test_a_spoiled_mechanism_shows_nothing(
    shown: Callable[..., Any], name: str, broken: str
) -> None:
    assert shown(name, broken, scale=0.05) is not True
