"""Rows of speech and text for a speech language model: what each of them holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from uslm.models.spans import Span
from uslm.text.vocab import PHONEME_SYMBOLS
from uslm_recipes.data.alignments import Alignments
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.tokens import TokenCorpus
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.sequence.patches import (
    PatchingConfig,
    aligned_patches,
    static_patches,
    word_starts,
)

PAUSES = " !,.:;?"
"""Symbols that stand between words."""
Task = Literal["speech", "interleaved", "read aloud", "write down"]


@dataclass(frozen=True, kw_only=True)
class TasksConfig:
    """Shares of rows of each kind; the numbers are parts of their sum."""

    speech: float = 0.5
    """Speech alone."""
    interleaved: float = 0.3
    """Speech in which the words of a stretch stand as text."""
    read_aloud: float = 0.1
    """The text, then its speech."""
    write_down: float = 0.1
    """Speech, then its text."""

    def __post_init__(self) -> None:
        shares = (self.speech, self.interleaved, self.read_aloud, self.write_down)
        if min(shares) < 0 or sum(shares) <= 0:
            raise ConfigError(f"tasks must be shares that are not all 0, but are {shares}")

    def draw(self, random: np.random.Generator) -> Task:
        """One of them."""
        shares: Mapping[Task, float] = {
            "speech": self.speech,
            "interleaved": self.interleaved,
            "read aloud": self.read_aloud,
            "write down": self.write_down,
        }
        weights = np.array(list(shares.values()))
        return list(shares)[int(random.choice(len(weights), p=weights / weights.sum()))]


class SpeechRows:
    """Utterances as spans of speech and text, with the patches that training asks for."""

    def __init__(
        self,
        corpus: Corpus,
        tokens: TokenCorpus,
        patching: PatchingConfig,
        tasks: TasksConfig,
        alignments: Alignments | None,
    ) -> None:
        self.corpus, self.tokens, self.alignments = corpus, tokens, alignments
        self.patching, self.tasks = patching, tasks
        self.pauses = {PHONEME_SYMBOLS.index(symbol) + 1 for symbol in PAUSES}

    def row(self, index: int, fraction: float, random: np.random.Generator) -> list[Span]:
        """A row of an utterance after so much of the run.

        Without a text, or without its alignment where one is needed, it is speech alone.
        """
        task = self.tasks.draw(random)
        aligned = random.random() < self.patching.share_aligned(fraction)
        units = self.tokens.codes(index)[0]
        text = torch.from_numpy(self.corpus.text_ids[index])
        known = self.alignments is not None and index in self.alignments and len(text) > 0
        starts = self._word_starts(index, len(units)) if known else [0]
        patches = self._static(len(units))
        if known and aligned:
            patches = aligned_patches(starts, len(units))
        speech = Span("speech", units, patches)
        if not len(text) or task == "speech" or (task == "interleaved" and len(starts) < 3):
            return [speech]
        if task == "read aloud":
            return [Span("text", text), speech]
        if task == "write down":
            return [speech, Span("text", text)]
        return self._interleaved(index, speech, starts, aligned, random)

    def _interleaved(
        self,
        index: int,
        speech: Span,
        starts: Sequence[int],
        aligned: bool,
        random: np.random.Generator,
    ) -> list[Span]:
        """A stretch of about a third of the words as text, speech before and after it."""
        count = max(1, len(starts) // 3)
        first = int(random.integers(0, len(starts) - count + 1))
        bounds = [*starts, len(speech.ids)]
        begin, end = bounds[first], bounds[first + count]
        parts = [self._segment(speech, bounds, 0, first, aligned)]
        assert self.alignments is not None
        at = self.alignments[index]
        said = torch.from_numpy(self.corpus.text_ids[index])[(at >= begin) & (at < end)]
        parts.append(Span("text", said))
        parts.append(self._segment(speech, bounds, first + count, len(starts), aligned))
        return [part for part in parts if len(part.ids)]

    def _segment(
        self, speech: Span, bounds: Sequence[int], first: int, last: int, aligned: bool
    ) -> Span:
        """Words `first` to `last` of the speech, cut into patches anew."""
        begin, end = bounds[first], bounds[last]
        units = speech.ids[begin:end]
        patches = self._static(len(units))
        if aligned and len(units):
            patches = aligned_patches([b - begin for b in bounds[first:last]], len(units))
        return Span("speech", units, patches)

    def _static(self, num_units: int) -> Int[Tensor, " n"] | None:
        """Even patches; None where the model makes them by itself, as it does of merged units."""
        if self.patching.way == "static":
            return None
        return static_patches(num_units, self.patching.size)

    def _word_starts(self, index: int, num_units: int) -> list[int]:
        assert self.alignments is not None
        return word_starts(
            self.corpus.text_ids[index].tolist(),
            self.alignments[index].tolist(),
            num_units,
            pauses=self.pauses,
            min_silence=self.patching.min_silence,
        )
