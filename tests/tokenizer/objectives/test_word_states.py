"""A language model as a teacher: a state for each word, whatever its tokens are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from uslm_tokenizer.errors import ConfigError, MissingResource
from uslm_tokenizer.objectives.word_states import WordStates


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory, save_bert: Any) -> Path:
    return save_bert(tmp_path_factory.mktemp("bert"))


def test_a_words_state_is_the_mean_of_its_tokens(bert: Path) -> None:
    """'birds' is bird and ##s, 'see' one token, an unknown sign one; in all layers' mean."""
    states = WordStates.load(str(bert))
    assert states.dim == 16
    tokens = states.tokens("birds see ~")
    assert len(tokens) == 6  # with the marks at both ends
    words = states.words(["birds", "see", "~"])
    torch.testing.assert_close(words[0], tokens[1:3].mean(0))
    torch.testing.assert_close(words[1:], tokens[3:5])


def test_the_layer_that_is_asked_for(bert: Path) -> None:
    every = [WordStates.load(str(bert), (layer,)).tokens("see it") for layer in (1, 2)]
    assert not torch.allclose(*every)
    model: Any = WordStates.load(str(bert)).model
    given = WordStates.load(str(bert)).text_tokenizer("see it", return_tensors="pt")
    hidden = model(**given, output_hidden_states=True).hidden_states
    torch.testing.assert_close(every[1], hidden[2][0])
    torch.testing.assert_close(
        WordStates.load(str(bert)).tokens("see it"), torch.stack(hidden).mean(0)[0]
    )


def test_what_is_not_there_is_told(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"language\.layers must be from 1 to 2, but are \(3,\)"):
        WordStates.load(str(bert), (3,))
    with pytest.raises(MissingResource, match="no language model at"):
        WordStates.load(str(tmp_path / "gone"))
