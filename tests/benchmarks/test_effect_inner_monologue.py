"""Moshi's effect: a spoiled mechanism shows nothing, and a conversation has its words in place."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch


def test_a_spoiled_mechanism_shows_nothing(shown: Callable[..., Any]) -> None:
    broken = shown("inner_monologue", "nothing written", scale=0.02, num_train=18, num_test=2)
    assert broken is not True


def test_the_text_stands_where_the_answer_begins(effects: Any) -> None:
    module, spoken = import_module("inner_monologue"), import_module("effect_answers").Spoken
    none = torch.empty(0)
    question = spoken(word=0, units=torch.tensor([4, 5, 6]), codes=none, vector=none)
    answer = spoken(word=1, units=torch.tensor([7, 8]), codes=none, vector=none)
    row = module.conversation(question, answer, text=1)
    assert row.shape == (3, module.FRAMES)
    assert row[2, :4].tolist() == [4, 5, 6, module.SILENCE]
    start = 3 + module.GAP
    assert row[1, start - 1 : start + 3].tolist() == [module.SILENCE, 7, 8, module.SILENCE]
    assert row[0, start - 2 : start + 2].tolist() == [module.PAD, module.END_PAD, 1, module.PAD]
    assert set(module.conversation(question, answer)[0].tolist()) == {module.PAD}
    asked = module.conversation(question, None)
    assert (asked == module.DRAWN).tolist()[0] == [False] * 3 + [True] * (module.FRAMES - 3)
    assert (asked[2] == module.DRAWN).sum() == 0
