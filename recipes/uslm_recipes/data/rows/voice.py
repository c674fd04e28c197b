"""Rows for Make-A-Voice: two windows of an utterance, one of which is the voice's prompt.

    utterance   |----------------------------------------------|
    windows           |  prompt  |        |      target      |       in either order
    row         [prompt codes][units of the target][pitch of it][codes of it]

No text and no name of anybody are needed: whoever speaks in one window speaks in the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from uslm.models.spans import Span
from uslm.systems.make_a_voice.model import CODES, PITCH, PROMPT, TEXT, UNITS, units_per_frame
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.tokens import TokenCorpus
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.sequence.flat_codes import flatten_codes


@dataclass(frozen=True, kw_only=True)
class WindowsConfig:
    """Lengths of the two windows, and what a row lacks."""

    prompt_seconds: float = 3.0
    """Longest prompt; a third of it is the shortest, where the utterance has room for it."""
    max_seconds: float = 6.0
    """Longest target, or utterance that is read."""
    prompt_dropout: float = 0.1
    """Share of rows without the prompt."""
    pitch_dropout: float = 0.5
    """Share of rows without the pitch: speaking and converting do without."""

    def __post_init__(self) -> None:
        for name in ("prompt_dropout", "pitch_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be in [0, 1], but is {getattr(self, name)}")
        for name in ("prompt_seconds", "max_seconds"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above 0, but is {getattr(self, name)}")


def two_windows(
    count: int, max_prompt: int, max_target: int, random: np.random.Generator
) -> tuple[slice, slice]:
    """Prompt and target of `count` frames, 2 or more; they share none, and either may come
    first."""
    longest = min(max_prompt, count // 2)
    prompt = int(random.integers(-(-longest // 3), longest + 1))
    target = min(max_target, count - prompt)
    prompt_first = bool(random.random() < 0.5)
    lengths = (prompt, target) if prompt_first else (target, prompt)
    start = int(random.integers(0, count - sum(lengths) + 1))
    gap = int(random.integers(0, count - sum(lengths) - start + 1))
    first = slice(start, start + lengths[0])
    second = slice(first.stop + gap, first.stop + gap + lengths[1])
    return (first, second) if prompt_first else (second, first)


@dataclass(frozen=True)
class ReadRows:
    """Texts and their units."""

    corpus: Corpus
    units: TokenCorpus

    def row(self, index: int) -> list[Span]:
        """A row of an utterance."""
        text = torch.from_numpy(self.corpus.text_ids[index])
        return [Span(TEXT, text), Span(UNITS, self.units.codes(index)[0])]


@dataclass(frozen=True)
class VoiceRows:
    """Windows of utterances as rows of a `MakeAVoiceLM` that writes codes."""

    corpus: Corpus
    units: TokenCorpus
    pitch: TokenCorpus
    codes: TokenCorpus
    num_codebooks: int
    windows: WindowsConfig

    def row(
        self, index: int, random: np.random.Generator, *, without: tuple[str, ...] | None = None
    ) -> list[Span]:
        """A row of an utterance; without some kinds, unless these are drawn."""
        windows, rate = self.windows, self.corpus.sample_rate
        units, pitch = self.units.codes(index)[0], self.pitch.codes(index)[0]
        codes = self.codes.codes(index)[: self.num_codebooks]
        # Steps are the longer of a unit and a frame: windows hold whole tokens of both.
        hops = self.units.header.hop_length, self.codes.header.hop_length
        per_frame = units_per_frame(rate / hops[0], rate / hops[1])
        per_unit = units_per_frame(rate / hops[1], rate / hops[0])
        count = min(len(units) // per_frame, codes.shape[1] // per_unit)
        second = rate / max(hops)
        prompt, target = two_windows(
            count, max(1, round(windows.prompt_seconds * second)),
            max(1, round(windows.max_seconds * second)), random,
        )  # fmt: skip
        drawn = random.random(2)
        if without is None:
            without = (PROMPT,) * bool(drawn[0] < windows.prompt_dropout)
            without += (PITCH,) * bool(drawn[1] < windows.pitch_dropout)
        row = [
            Span(PROMPT, self._flat(codes[:, _times(prompt, per_unit)])),
            Span(UNITS, units[_times(target, per_frame)]),
            Span(PITCH, pitch[_times(target, per_frame)]),
            Span(CODES, self._flat(codes[:, _times(target, per_unit)])),
        ]
        return [span for span in row if span.kind not in without]

    def _flat(self, codes: Int[Tensor, "k t"]) -> Int[Tensor, " n"]:
        return flatten_codes(codes, self.codes.header.codebook_size)


def _times(window: slice, count: int) -> slice:
    return slice(window.start * count, window.stop * count)
