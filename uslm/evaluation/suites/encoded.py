"""A tokenizer's codes of a speech set, and which codebooks of them a probe is shown."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.evaluation.suites.speech_set import (
    PAUSE,
    SAMPLE_RATE,
    LabelledSpeech,
    SpeechSet,
)
from uslm_tokenizer.audio.read import resample
from uslm_tokenizer.base import AudioTokenizer


@dataclass(frozen=True, kw_only=True)
class CodebookRange:
    """A range of a tokenizer's codebooks."""

    start: int
    stop: int

    def __str__(self) -> str:
        if self.stop == self.start + 1:
            return f"codebook {self.start + 1}"
        return f"codebooks {self.start + 1}-{self.stop}"


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedSpeech:
    """One utterance as a probe sees it."""

    codes: Int[Tensor, "k t"]
    speech: LabelledSpeech
    """What it was made of."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedSet:
    """A speech set through a tokenizer."""

    name: str
    """Of the tokenizer."""
    train: tuple[EncodedSpeech, ...]
    test: tuple[EncodedSpeech, ...]
    frame_rate: float
    """Frames per second."""
    codebook_size: int
    num_codebooks: int
    real_time_factor: float = 0.0
    """Seconds that a second of speech took to encode."""

    def of(self, codebooks: CodebookRange) -> "EncodedSet":
        """The same with these codebooks only."""

        def narrowed(rows: Sequence[EncodedSpeech]) -> tuple[EncodedSpeech, ...]:
            return tuple(
                EncodedSpeech(codes=row.codes[codebooks.start : codebooks.stop], speech=row.speech)
                for row in rows
            )

        return EncodedSet(
            name=f"{self.name}, {codebooks}",
            train=narrowed(self.train),
            test=narrowed(self.test),
            frame_rate=self.frame_rate,
            codebook_size=self.codebook_size,
            num_codebooks=codebooks.stop - codebooks.start,
            real_time_factor=self.real_time_factor,
        )

    def ranges(self) -> tuple[CodebookRange, ...]:
        """The first codebook; all; all but the first."""
        k = self.num_codebooks
        if k == 1:
            return (CodebookRange(start=0, stop=1),)
        return (
            CodebookRange(start=0, stop=1),
            CodebookRange(start=0, stop=k),
            CodebookRange(start=1, stop=k),
        )

    def single(self) -> tuple[CodebookRange, ...]:
        """Each codebook after the first, where there are more than two."""
        k = self.num_codebooks
        return tuple(CodebookRange(start=i, stop=i + 1) for i in range(1, k)) if k > 2 else ()


@torch.no_grad()
def encode_set(name: str, tokenizer: AudioTokenizer, speech: SpeechSet) -> EncodedSet:
    """Each utterance by itself, as a listener would hear it."""
    began = time.perf_counter()
    train, test = (
        tuple(EncodedSpeech(codes=encode(tokenizer, each), speech=each) for each in rows)
        for rows in (speech.train, speech.test)
    )
    seconds = sum(each.seconds for each in (*speech.train, *speech.test))
    return EncodedSet(
        name=name,
        train=train,
        test=test,
        frame_rate=tokenizer.frame_rate,
        codebook_size=tokenizer.codebook_size,
        num_codebooks=tokenizer.num_codebooks,
        real_time_factor=(time.perf_counter() - began) / seconds,
    )


def encode(tokenizer: AudioTokenizer, speech: LabelledSpeech) -> Int[Tensor, "k t"]:
    """The codes of one utterance, on the CPU."""
    waveform = resample(speech.waveform, SAMPLE_RATE, tokenizer.sample_rate)
    return tokenizer.encode(waveform[None].to(tokenizer.device))[0].cpu()


def frame_labels(
    speech: LabelledSpeech, num_frames: int, frame_rate: float, symbols: Sequence[str]
) -> Int[Tensor, " t"]:
    """The class of each frame: 0 for pauses and symbols not listed, else 1 + the place in
    `symbols` of the phoneme that sounds in the middle of the frame."""
    places = {symbol: place for place, symbol in enumerate(symbols, start=1)}
    labels = torch.zeros(num_frames, dtype=torch.long)
    for segment in speech.segments:
        if segment.symbol != PAUSE:
            first, last = (
                max(0, min(num_frames, round(seconds * frame_rate)))
                for seconds in (segment.start, segment.end)
            )
            labels[first:last] = places.get(segment.symbol, 0)
    return labels
