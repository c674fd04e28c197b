"""A semantic branch, a language model as a teacher, stages that speak: shown, and not spoiled."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch

from uslm.evaluation.suites.encoded import EncodedSpeech
from uslm.evaluation.suites.made_speech import made_speech


def test_a_branch_shows_with_its_own_features_only(shown: Callable[..., Any]) -> None:
    assert shown("semantic_branch", scale=0.5) is True
    assert shown("semantic_branch", "features of other speech", scale=0.1) is False
    assert shown("semantic_branch", "labels shuffled", scale=0.1) is False


def test_words_teach_where_they_are_said_and_nowhere_else(shown: Callable[..., Any]) -> None:
    assert shown("language_teacher", scale=0.5) is True
    assert shown("language_teacher", "words shuffled", scale=0.05) is False
    assert shown("language_teacher", "gradient cut", scale=0.05) is False


def test_stages_given_the_texts_of_others_are_the_control(effects: Any) -> None:
    """That they show takes minutes: the page says it. Here, that it is the texts that differ."""
    setting = effects.Setting(
        quick=True, scale=0.01, num_train=12, num_test=4, broken="texts of other speech"
    )
    outcome = effects.run_effect(effects.find_effects()["uslm_speaks"], setting, [0])
    arms = [outcome.by_seed[arm] for arm in ("trained", "texts of other speech")]
    assert arms[0] == arms[1] and outcome.shows is False


def test_stages_learn_from_the_texts_that_they_are_given(effects: Any) -> None:
    from uslm_speaks import _stages, _train

    draw = torch.Generator().manual_seed(0)
    speech = made_speech(num_train=2, num_test=1).train
    codes = [torch.randint(32, (3, 12), generator=draw) for _ in speech]
    rows = [EncodedSpeech(codes=c, speech=s) for c, s in zip(codes, speech, strict=True)]
    texts = [torch.tensor([1, 2, 3]), torch.tensor([4, 5])]
    learnt = []
    for given in (texts, texts[::-1], texts):
        stages = _stages(6, 0)
        _train(stages, rows, given, 0, 3, 3)
        learnt.append([torch.cat([p.flatten() for p in stage.parameters()]) for stage in stages])
    for own, others, again in zip(*learnt, strict=True):
        assert torch.equal(own, again) and not torch.equal(own, others)


@pytest.fixture
def tiny_recipes(effects: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The effect by the recipes' configs of seconds."""
    module: Any = import_module("uslm_trained")
    for name, value in {"CONFIG": "tiny", "LEVELS": 3, "CODES": 16, "WIDTH": 16}.items():
        monkeypatch.setattr(module, name, value)
    return module


def test_recipes_train_what_speaks_and_other_texts_are_the_control(
    effects: Any, tiny_recipes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: dict[str, list[str]] = {}
    train = tiny_recipes._train

    def watched(recipe: Any, out: Any, steps: int, *given: str) -> None:
        commands["/".join(out.parts[-2:])] = [str(steps), *given]
        train(recipe, out, steps, *given)

    monkeypatch.setattr(tiny_recipes, "_train", watched)
    setting = effects.Setting(
        quick=True, scale=0.05, num_train=12, num_test=6, broken="other texts read"
    )
    outcome = effects.run_effect(effects.find_effects()["uslm_trained"], setting, [0])
    arms = [outcome.by_seed[arm] for arm in ("trained", "other texts read")]
    assert arms[0] == arms[1] and outcome.shows is False
    for stage, steps in (("ar", "18"), ("nar", "10")):
        long, short = (commands[f"{name}/{stage}"] for name in ("long", "short"))
        assert (long[0], short[0]) == (steps, str(int(steps) // 8)) and long[1:] == short[1:]
