"""GenSE's effect: pairs that are shuffled teach nothing, and units are counted as by hand."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch


def test_a_spoiled_mechanism_shows_nothing(shown: Callable[..., Any]) -> None:
    assert shown("gense_units", "pairs shuffled", scale=0.05) is not True


def test_wrong_units_are_counted_by_utterance(effects: Any) -> None:
    wrong = import_module("gense")._wrong
    pairs = [(torch.tensor([9, 9]), torch.tensor([1, 2])), (torch.tensor([9]), torch.tensor([3]))]
    found = wrong([torch.tensor([1, 5]), torch.tensor([3])], pairs)
    assert (found.totals, found.sizes) == ((1.0, 0.0), (2.0, 1.0))


def test_rows_are_put_together_as_they_were_cut(effects: Any) -> None:
    """An utterance longer than a row is translated in several, and none is lost or mixed up."""
    module = import_module("gense")
    torch.manual_seed(0)
    pairs = [(torch.randint(64, (n,)),) * 2 for n in (250, 30, 100)]
    model = module._trained(pairs, 1, 0, astray=False)
    made = module._translated(model, pairs)
    assert [len(units) for units in made] == [250, 30, 100]
    alone = module._translated(model, pairs[1:2])
    assert torch.equal(alone[0], made[1])
