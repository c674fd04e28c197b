"""Rows for stage 1: text and units of an utterance, after another one of its speaker or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from uslm.models.base import PitchedModel, SemanticModel
from uslm_recipes.data.alignments import Alignments
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.same_speaker import SameSpeakerSampler
from uslm_recipes.data.tokens import TokenCorpus
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.merge import slow_codes


@dataclass(frozen=True)
class PromptedBatch:
    """Teacher-forced rows of a model."""

    rows: Any
    """What the model's `batch` made."""
    num_units: int
    """Units in them, prompts too."""
    num_padded_frames: int
    """The same with padding."""
    num_targets: int
    """Units that are predicted, the EOS token among them."""


def check_pitch(model: SemanticModel, tokens: TokenCorpus) -> None:
    """Raise ConfigError if the model is to draw pitches and the tokens hold none."""
    draws = isinstance(model, PitchedModel) and model.num_pitches > 0
    if draws and tokens.header.pitch_codebook is None:
        raise ConfigError(
            "tokens must be those of a codec that holds pitch, as the model is to draw it "
            f"(pitch_reach), but they have {tokens.header.num_codebooks} codebooks without pitch"
        )
    if draws and model.frames_per_unit > 1:
        raise ConfigError(
            "frames_per_unit must be 1 for a model that draws a pitch in each frame, but is "
            f"{model.frames_per_unit}"
        )


class PromptedRows:
    """Rows of text ids and units; whether and with what a row is prompted is drawn."""

    def __init__(
        self,
        corpus: Corpus,
        tokens: TokenCorpus,
        indices: NDArray[np.int64],
        alignments: Alignments | None = None,
        *,
        max_frames: int,
    ) -> None:
        """`max_frames` bounds prompt and speech of a row together."""
        self.corpus, self.tokens, self.alignments = corpus, tokens, alignments
        self.max_frames = max_frames
        self.same_speaker = SameSpeakerSampler(corpus, indices)

    def text(self, index: int) -> Int[Tensor, " s"]:
        """Text ids of an utterance."""
        return torch.from_numpy(self.corpus.text_ids[index])

    def units(self, index: int, frames_per_unit: int = 1) -> Int[Tensor, " t"]:
        """Codebook 0 of an utterance; UserError if its codes are not merged over so many frames."""
        codes = self.tokens.codes(index)[None, :1]
        return codes[0, 0] if frames_per_unit == 1 else slow_codes(codes, frames_per_unit)[0, 0]

    def pitches(self, model: PitchedModel, index: int) -> Int[Tensor, " t"]:
        """Pitches that the model is to draw beside the units of an utterance."""
        codebook = self.tokens.header.pitch_codebook
        assert codebook is not None
        return model.relative_pitch(self.tokens.codes(index)[codebook])

    def starts(self, index: int) -> Int[Tensor, " s"]:
        """Frame in which each symbol of an utterance begins."""
        assert self.alignments is not None
        return self.alignments[index]

    def prompt_of(self, index: int, random: np.random.Generator) -> int | None:
        """Another utterance of the speaker that still fits; None where there is none."""
        prompt_index = self.same_speaker.draw(index, random)
        frames = self.tokens.num_frames
        fits = int(frames[prompt_index] + frames[index]) <= self.max_frames
        return prompt_index if prompt_index != index and fits else None

    def batch(
        self, model: SemanticModel, indices: Sequence[int], prompts: Sequence[int | None]
    ) -> PromptedBatch:
        """Rows of utterances after their prompts; a prompt's units are not predicted."""
        separator = torch.tensor([model.separator_id])
        texts, units, starts, before = [], [], [], []
        pitched = model if isinstance(model, PitchedModel) and model.num_pitches else None
        pitches, lasts = [], model.frames_per_unit
        for index, prompt_index in zip(indices, prompts, strict=True):
            text, row, num_prompt = self.text(index), self.units(index, lasts), 0
            begins = self.starts(index) // lasts if self.alignments is not None else None
            heights = [] if pitched is None else [self.pitches(pitched, index)]
            if prompt_index is not None:
                prompt = self.units(prompt_index, lasts)
                num_prompt = len(prompt)
                text = torch.cat([self.text(prompt_index), separator, text])
                row = torch.cat([prompt, row])
                if pitched is not None:
                    heights.insert(0, self.pitches(pitched, prompt_index))
                if begins is not None:
                    # The separator takes no time: the text begins in the same frame.
                    border = torch.tensor([num_prompt, num_prompt])
                    before_it = self.starts(prompt_index) // lasts
                    begins = torch.cat([before_it, border, begins[1:] + num_prompt])
            texts.append(text)
            units.append(row)
            if pitched is not None:
                pitches.append(torch.cat(heights))
            starts.append(begins)
            before.append(num_prompt)
        known = [each for each in starts if each is not None]
        lengths = [len(row) for row in units]
        more = {} if pitched is None else {"pitches": pitches}
        return PromptedBatch(
            rows=model.batch(texts, units, starts=known or None, predict_from=before, **more),
            num_units=sum(lengths),
            num_padded_frames=max(lengths) * len(lengths),
            num_targets=sum(lengths) - sum(before) + len(lengths),
        )
