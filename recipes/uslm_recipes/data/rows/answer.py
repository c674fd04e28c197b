"""Rows of questions and answers: spoken or written questions, texts to speak, and codes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from uslm.models.spans import Span
from uslm.systems.dual_speech.decoder import CODES, SPEAKER, TEXT, UNITS, text_bytes
from uslm.systems.dual_speech.speaker_vector import speaker_vector
from uslm.text.vocab import TextVocab
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.tokens import TokenCorpus
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.errors import ConfigError, MissingResource, UserError


@dataclass(frozen=True, kw_only=True)
class AnswerTasks:
    """Tasks of the language model, and how often each is drawn, as weights."""

    spoken: float = 1.0
    """A spoken question, its answer as text and then as speech."""
    written: float = 0.0
    """The same with the question in writing."""
    speak: float = 0.5
    """The text of an answer, which is spoken."""

    def __post_init__(self) -> None:
        weights = vars(self)
        if min(weights.values()) < 0 or not sum(weights.values()) > 0:
            raise ConfigError(f"tasks must be 0 or more and one of them above, but are {weights}")


@dataclass(frozen=True)
class AnswerRows:
    """Utterances as questions and answers, in the tokens of each model."""

    corpus: Corpus
    units: TokenCorpus
    answers: Mapping[int, int]
    """The answer of each question; one that is not there is answered by itself, said again."""

    def row(
        self, index: int, tasks: AnswerTasks, vocab: TextVocab, random: np.random.Generator
    ) -> list[Span]:
        """Spans of the language model, of which the first is read only."""
        names, weights = zip(*vars(tasks).items(), strict=True)
        task = random.choice(names, p=np.array(weights) / sum(weights))
        answer = self.answers.get(index, index)
        text = self._text(answer, vocab)
        said = Span("speech", self.units.codes(answer)[0])
        if task == "speak":
            return [text, said]
        if task == "written":
            return [self._text(index, vocab, "\n"), text, said]
        return [Span("speech", self.units.codes(index)[0]), text, said]

    def decoder_row(
        self,
        index: int,
        codes: TokenCorpus,
        random: np.random.Generator,
        *,
        alone: tuple[float, float] = (0.0, 0.0),
    ) -> list[Span]:
        """Spans of the acoustic decoder; `alone` are the shares of rows with the text alone, and
        with the units alone."""
        corpus, drawn = self.corpus, random.random()
        vector = speaker_vector(Audio(corpus.waveform(index)[None], corpus.sample_rate))
        row = [Span.of_vectors(SPEAKER, vector[None])]
        if not alone[0] <= drawn < sum(alone):
            row.append(Span(TEXT, text_bytes(corpus.utterances[index].text)))
        if not drawn < alone[0]:
            row.append(Span(UNITS, self.units.codes(index)[0]))
        return [*row, Span(CODES, codes.codes(index)[0])]

    def _text(self, index: int, vocab: TextVocab, end: str = "") -> Span:
        ids = vocab.encode(self.corpus.utterances[index].text + end)
        return Span("text", torch.tensor(ids, dtype=torch.long))


def read_answers(
    path: str, corpus: Corpus, chosen: Sequence[int] | NDArray[np.int64]
) -> dict[int, int]:
    """Numbers of questions and their answers, of lines {"question": id, "answer": id}.

    Both must be among `chosen`, or else the line is of the other split. UserError for an id that
    the corpus has not.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingResource(f"there are no answers {path!r}")
    places = {row.id: number for number, row in enumerate(corpus.utterances)}
    kept, found = set(map(int, chosen)), {}
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        try:
            pair = json.loads(line)
            question, answer = pair["question"], pair["answer"]
        except (ValueError, KeyError, TypeError) as problem:
            raise UserError(
                f"{path}:{number} must be an object with 'question' and 'answer', the ids of two "
                f"utterances, but is {line[:100]!r}"
            ) from problem
        for name in (question, answer):
            if name not in places:
                raise UserError(f"{path}:{number} names {name!r}, which the corpus has not")
        if {places[question], places[answer]} <= kept:
            found[places[question]] = places[answer]
    return found
