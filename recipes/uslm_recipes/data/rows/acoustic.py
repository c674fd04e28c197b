"""Rows for stage 2: a prompt of the speaker, and an utterance (or a segment of it) to fill.

With alignments, a row that shows its text also says which symbol each of its frames is of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from uslm.models.base import AcousticRow
from uslm.voices.alignment import symbols_of
from uslm_recipes.data.alignments import Alignments
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.same_speaker import SameSpeakerSampler
from uslm_recipes.data.tokens import TokenCorpus


@dataclass(frozen=True, kw_only=True)
class RowShape:
    """Shape of a row."""

    min_prompt_frames: int = 50
    """Shortest prompt."""
    max_prompt_frames: int = 225
    """Longest prompt."""
    max_target_frames: int = 400
    """Longest segment of an utterance in a row."""
    known_share: float = 0.4
    """Share of rows whose first frames are known."""
    text_dropout: float = 0.4
    """Share of rows with text that are shown without it."""
    max_known_frames: int = 100
    """Most frames that are known."""
    unit_dropout: float = 0.0
    """Share of rows with known symbols that show none of their units: a model learns to do
    without. For a conv_regressor."""
    unit_noise_share: float = 0.0
    """Share of these rows in which some units are others, as stage 1 errs at times."""
    max_unit_noise: float = 0.4
    """Share of the units that are others then, at most; their neighbours become so, too."""
    pitch_noise_share: float = 0.0
    """Share of these rows whose pitches are a little off."""

    def clean(self) -> RowShape:
        """The same with units and pitches as they were spoken."""
        return replace(self, unit_dropout=0.0, unit_noise_share=0.0, pitch_noise_share=0.0)


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
        self.same_speaker = SameSpeakerSampler(corpus, indices)
        self.max_pitch = max(1, tokens.header.num_pitches - 1)

    def row(self, index: int, shape: RowShape, random: np.random.Generator) -> AcousticRow:
        """Prompt, target, text and known frames of one utterance."""
        prompt_index = self.same_speaker.draw(index, random)
        codes = self.tokens.codes(index)
        num_prompt = int(random.integers(shape.min_prompt_frames, shape.max_prompt_frames + 1))
        start = 0
        if prompt_index == index:  # the same utterance: its beginning is the prompt
            start = min(num_prompt, codes.shape[1] // 2)
            prompt_start, prompt = 0, codes[:, :start]
        else:
            prompt_start, prompt = _segment(self.tokens.codes(prompt_index), num_prompt, random)
        offset, target = _segment(codes[:, start:], shape.max_target_frames, random)
        known = 0
        if random.random() < shape.known_share:
            most = min(shape.max_known_frames, target.shape[1] - 10)
            known = int(random.integers(0, max(1, most)))
        text = torch.from_numpy(self.corpus.text_ids[index])
        hidden = len(text) == 0 or random.random() < shape.text_dropout
        text_positions = (
            None if hidden else self._text_positions(index, start + offset, target.shape[1])
        )
        if text_positions is not None:
            target = self._corrupted(target, shape, random)
        return AcousticRow(
            prompt=prompt,
            codes=target,
            num_context=known,
            start=start + offset,
            text_ids=None if hidden else text,
            text_positions=text_positions,
            prompt_spoken=None
            if hidden
            else self._spoken(prompt_index, prompt_start, prompt.shape[1]),
        )

    def _spoken(self, index: int, first: int, num_frames: int) -> Int[Tensor, " t"] | None:
        """Text id of the symbol that some frames of an utterance are of, where it is aligned."""
        places = self._text_positions(index, first, num_frames)
        return None if places is None else torch.from_numpy(self.corpus.text_ids[index])[places]

    def _corrupted(
        self, codes: Int[Tensor, "k t"], shape: RowShape, random: np.random.Generator
    ) -> Int[Tensor, "k t"]:
        """Units and pitches as stage 1 might have drawn them, or no units at all."""
        header, codes = self.tokens.header, codes.clone()
        num_frames, kind = codes.shape[1], random.random()
        if kind < shape.unit_dropout:
            codes[0] = header.codebook_size  # what stands for a hidden unit
        elif kind < shape.unit_dropout + shape.unit_noise_share:
            hit = random.random(num_frames) < random.random() * shape.max_unit_noise
            hit |= np.roll(hit, 1) | np.roll(hit, -1)
            others = torch.from_numpy(random.integers(0, header.codebook_size, num_frames))
            codes[0] = torch.where(torch.from_numpy(hit), others, codes[0])
        codebook = header.pitch_codebook
        if codebook is not None and random.random() < shape.pitch_noise_share:
            shaken = random.integers(-4, 5, num_frames) * (random.random(num_frames) < 0.3)
            off = torch.from_numpy(shaken + random.integers(-3, 4))
            pitch = codes[codebook]
            codes[codebook] = torch.where(pitch > 0, (pitch + off).clamp(1, self.max_pitch), 0)
        return codes

    def _text_positions(self, index: int, first: int, num_frames: int) -> Int[Tensor, " t"] | None:
        """Symbols that some frames of an utterance are of, where its text is aligned."""
        if self.alignments is None or index not in self.alignments:
            return None
        frames = torch.arange(first, first + num_frames)
        return symbols_of(frames, self.alignments[index])


def _segment(
    codes: Int[Tensor, "k t"], length: int, random: np.random.Generator
) -> tuple[int, Int[Tensor, "k p"]]:
    """A random stretch of at most `length` frames, and where it begins."""
    start = int(random.integers(0, max(1, codes.shape[1] - length + 1)))
    return start, codes[:, start : start + length]
