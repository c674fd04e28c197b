"""Effects of judged units and of patches run, and where a mechanism is spoiled nothing shows."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from torch.utils.flop_counter import FlopCounterMode


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
    ],
)
def test_a_spoiled_mechanism_shows_nothing(
    shown: Callable[..., Any], name: str, broken: str
) -> None:
    assert shown(name, broken, scale=0.05) is not True


def test_patches_cost_less_and_patches_of_one_do_not(
    effects: Any, shown: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By operations in place of the clock, which on a busy machine tells anything."""
    with FlopCounterMode(display=False) as counter:
        clock = SimpleNamespace(process_time=lambda: counter.get_total_flops() / 1e9)
        monkeypatch.setattr(import_module("lst_cost"), "time", clock)
        assert shown("lst_cost", scale=0.05) is True
        assert shown("lst_cost", "patches of one unit", scale=0.05) is False
