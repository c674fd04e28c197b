"""Training data of a run, as its checkpoints and its card name it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.tokens import TokenCorpus

MAX_NAMED = 12
"""Utterances of a batch that a message names."""


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Corpora and tokens of a run."""

    folders: tuple[Path, ...] = ()
    """Corpus folders."""
    marks: Mapping[str, Any] = field(default_factory=dict)
    """Hashes of the contents, by what they are of."""

    @staticmethod
    def of(corpus: Corpus, tokens: TokenCorpus | None = None) -> TrainingData:
        """Names and hashes of what a recipe has opened."""
        marks: dict[str, Any] = {"corpus hash": [header["sha"] for header in corpus.headers]}
        if tokens is not None:
            marks["tokenizer hash"] = tokens.header.tokenizer
        return TrainingData(folders=corpus.folders, marks=marks)


@dataclass(frozen=True)
class BatchLabel:
    """Utterances of a batch; as a text their ids, looked up only when somebody reads it."""

    corpus: Corpus
    indices: Sequence[int]

    def __str__(self) -> str:
        shown = [self.corpus.utterances[index].id for index in self.indices[:MAX_NAMED]]
        more = len(self.indices) - len(shown)
        return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
