"""Train stage 1, the autoregressive language model: phonemes (and a prompt) -> units.

    python -m uslm_recipes.train_ar --config mini --out runs/ar \\
        --set corpus=data/corpus --set tokens=runs/tokens --max-minutes 20

Half of the rows go on from another utterance of the same speaker, as a prompt does later.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from uslm.models.ar import SemanticBatch, SemanticLM, SemanticLMConfig
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.tokens import TokenCorpus
from uslm_recipes.loop import LoopConfig


@dataclass(frozen=True, kw_only=True)
class ARRecipe:
    """Everything that decides a run of this recipe."""

    model: SemanticLMConfig = field(default_factory=SemanticLMConfig)
    """The language model to train."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    tokens: tuple[str, ...] = ("runs/tokens",)
    """Token folders, as encode makes them; one for each corpus."""
    sources: tuple[str, ...] = ()
    """Collections to learn speaking from; empty means all that have text."""
    seconds_per_batch: float = 300.0
    """Seconds of speech to predict in a batch."""
    prompted_share: float = 0.5
    """Share of rows that begin with another utterance of the same speaker."""
    max_frames: int = 1000
    """Frames of prompt and speech in a row."""


class PromptedRows:
    """Rows of text ids and units; whether and with what a row is prompted is drawn."""

    def __init__(self, corpus: Corpus, tokens: TokenCorpus, indices: NDArray[np.int64]) -> None:
        self.corpus, self.tokens = corpus, tokens
        self.by_speaker: dict[str, list[int]] = {}
        for index in map(int, indices):
            self.by_speaker.setdefault(corpus.speakers[index], []).append(index)

    def text(self, index: int) -> Int[Tensor, " s"]:
        """Text ids of an utterance."""
        return torch.from_numpy(self.corpus.text_ids[index])

    def units(self, index: int) -> Int[Tensor, " t"]:
        """Level 0 of an utterance."""
        return self.tokens.codes(index)[0]

    def other(self, index: int, max_frames: int, random: np.random.Generator) -> int | None:
        """Another utterance of the speaker that still fits; None where there is none."""
        mates = self.by_speaker[self.corpus.speakers[index]]
        mate = mates[int(random.integers(len(mates)))]
        frames = self.tokens.num_frames
        fits = int(frames[mate] + frames[index]) <= max_frames
        return mate if mate != index and fits else None

    def batch(
        self, model: SemanticLM, indices: list[int], recipe: ARRecipe, random: np.random.Generator
    ) -> SemanticBatch:
        """Teacher-forced rows of the model; a prompt's units are not predicted."""
        texts, units, prompts = [], [], []
        separator = torch.tensor([model.separator_id])
        for index in indices:
            text, row, num_prompt = self.text(index), self.units(index), 0
            if random.random() < recipe.prompted_share:
                mate = self.other(index, recipe.max_frames, random)
                if mate is not None:
                    before = self.units(mate)
                    text = torch.cat([self.text(mate), separator, text])
                    row, num_prompt = torch.cat([before, row]), len(before)
            texts.append(text)
            units.append(row)
            prompts.append(num_prompt)
        return model.batch(texts, units, predict_from=prompts)
