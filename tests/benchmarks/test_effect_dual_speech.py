"""DualSpeechLM's effects: a spoiled mechanism shows nothing, and words are cut and judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch


@pytest.mark.parametrize(
    ("name", "broken"),
    [("dual_semantic_loss", "no semantic loss"), ("dual_chain", "text astray")],
)
def test_a_spoiled_mechanism_shows_nothing(
    shown: Callable[..., Any], name: str, broken: str
) -> None:
    assert shown(name, broken, scale=0.02, num_train=18, num_test=2) is not True


def test_commands_are_cut_where_their_words_stand(effects: Any) -> None:
    module = import_module("effect_answers")
    speech = effects.Setting(num_train=12, num_test=4).speech
    commands = module.cut_commands(speech, 0)
    assert len(commands.names) == module.COMMANDS
    said = [word for row in speech.test for word in row.words if word.symbol in commands.names]
    assert max(Counter(word.symbol for word in said).values()) <= module.MEASURED
    frames = [round(w.end * 50) - round(w.start * 50) for w in said]
    assert [len(each.units) for each in commands.test] == [n for n in frames if n >= 3]
    assert all(len(each.units) == len(each.codes) for each in commands.test)
    assert [each.word for each in commands.test] == [
        commands.names.index(w.symbol) for w, n in zip(said, frames, strict=True) if n >= 3
    ]


def test_a_judge_knows_rows_that_are_nothing_alike(effects: Any) -> None:
    module = import_module("effect_answers")
    rows = [torch.full((4 + i % 3,), i % 8) for i in range(64)]
    words = [i % 8 for i in range(64)]
    judge = module.trained_judge(rows, words, 8, 0)
    assert judge.wrong(rows, words) == (0.0,) * 64
    assert judge.wrong([rows[1], rows[1][:0]], [2, 1]) == (1.0, 1.0), "another; none at all"
