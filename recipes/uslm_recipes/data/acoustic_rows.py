"""Rows for stage 2: a prompt of the speaker, and an utterance (or a piece of it) to fill.

With alignments, a row that shows its text also says which symbol each of its frames is of.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from uslm.models.base import AcousticRow
from uslm.voices.alignment import symbols_of
from uslm_recipes.data.alignments import Alignments
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.mates import Mates
from uslm_recipes.data.tokens import TokenCorpus


@dataclass(frozen=True, kw_only=True)
class RowShape:
    """What a row shows."""

    min_prompt_frames: int = 50
    """Shortest prompt."""
    max_prompt_frames: int = 225
    """Longest prompt."""
    max_target_frames: int = 400
    """Longest piece of an utterance in a row."""
    known_share: float = 0.4
    """Share of rows whose first frames are known."""
    text_dropout: float = 0.4
    """Share of rows with text that are shown without it."""


class AcousticRows:
    """Rows with prompts; what a row shows is drawn."""

    def __init__(
        self,
        corpus: Corpus,
        tokens: TokenCorpus,
        indices: NDArray[np.int64],
        alignments: Alignments | None = None,
    ) -> None:
        self.corpus, self.tokens, self.alignments = corpus, tokens, alignments
        self.mates = Mates(corpus, indices)

    def row(self, index: int, shape: RowShape, random: np.random.Generator) -> AcousticRow:
        """Prompt, target, text and known frames of one utterance."""
        mate = self.mates.draw(index, random)
        codes = self.tokens.codes(index)
        num_prompt = int(random.integers(shape.min_prompt_frames, shape.max_prompt_frames + 1))
        start = 0
        if mate == index:  # the same utterance: its beginning is the prompt
            start = min(num_prompt, codes.shape[1] // 2)
            prompt = codes[:, :start]
        else:
            prompt = _piece(self.tokens.codes(mate), num_prompt, random)[1]
        offset, target = _piece(codes[:, start:], shape.max_target_frames, random)
        known = 0
        if random.random() < shape.known_share:
            known = int(random.integers(0, max(1, min(100, target.shape[1] - 10))))
        text = torch.from_numpy(self.corpus.text_ids[index])
        hidden = len(text) == 0 or random.random() < shape.text_dropout
        return AcousticRow(
            prompt=prompt,
            codes=target,
            num_context=known,
            start=start + offset,
            text_ids=None if hidden else text,
            fingers=None if hidden else self._fingers(index, start + offset, target.shape[1]),
        )

    def _fingers(self, index: int, first: int, num_frames: int) -> Int[Tensor, " t"] | None:
        """Which symbol some frames of an utterance are of, where its text is aligned."""
        if self.alignments is None or index not in self.alignments:
            return None
        frames = torch.arange(first, first + num_frames)
        return symbols_of(frames, self.alignments[index])


def _piece(
    codes: Int[Tensor, "k t"], length: int, random: np.random.Generator
) -> tuple[int, Int[Tensor, "k p"]]:
    """A random stretch of at most `length` frames, and where it begins."""
    start = int(random.integers(0, max(1, codes.shape[1] - length + 1)))
    return start, codes[:, start : start + length]
