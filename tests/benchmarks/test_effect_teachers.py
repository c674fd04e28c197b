"""A semantic branch, a language model as a teacher, stages that speak: shown, and not spoiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_a_branch_shows_with_its_own_features_only(shown: Callable[..., Any]) -> None:
    assert shown("semantic_branch", scale=0.5) is True
    assert shown("semantic_branch", "features of other speech", scale=0.1) is False
    assert shown("semantic_branch", "labels shuffled", scale=0.1) is False


def test_words_teach_where_they_are_said_and_nowhere_else(shown: Callable[..., Any]) -> None:
    assert shown("language_teacher", scale=0.5) is True
    assert shown("language_teacher", "words shuffled", scale=0.05) is False
    assert shown("language_teacher", "gradient cut", scale=0.05) is False


def test_stages_say_their_own_texts_and_not_those_of_others(shown: Callable[..., Any]) -> None:
    """Half a minute: a language model has to learn to read before it shows."""
    assert shown("uslm_speaks", scale=0.3) is True
    assert shown("uslm_speaks", "texts of other speech", scale=0.05) is False
