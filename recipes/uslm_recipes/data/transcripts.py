"""Texts of a corpus -> text ids: phonemes with their durations kept in step, or subwords."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from uslm_recipes.data.recording import Recording
from uslm_tokenizer.errors import TextError

if TYPE_CHECKING:
    from uslm.text.vocab import SentencePieceVocab


class FrontEnd(Protocol):
    """A text front end, as a corpus needs it."""

    def phonemize(self, texts: Sequence[str]) -> list[str]:
        """Phonemes of each text."""

    def encode(self, phonemes: str) -> list[int]:
        """Ids of the phonemes; symbols outside the vocabulary are left out."""


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """Text of a recording, as models read it."""

    phonemes: str = ""
    text_ids: tuple[int, ...] = ()
    durations: tuple[float, ...] | None = None
    """Seconds of the silence before, of each text id, and of the silence after."""
    problem: str | None = None
    """Why the text cannot be read, if so."""


class EnglishFrontEnd:
    """The front end that speaks at inference too, so that training sees the same phonemes."""

    def __init__(self) -> None:
        from uslm.text.normalize import normalize
        from uslm.text.phonemize import EspeakPhonemizer
        from uslm.text.vocab import PhonemeVocab

        self._normalize = normalize
        self._phonemizer = EspeakPhonemizer()
        self._vocab = PhonemeVocab()

    def phonemize(self, texts: Sequence[str]) -> list[str]:
        normalized = [self._normalize(text, "en-us") for text in texts]
        return self._phonemizer.phonemize(normalized, "en-us")

    def encode(self, phonemes: str) -> list[int]:
        return self._vocab.encode(phonemes)


class PieceFrontEnd:
    """Normalised text in subwords of a vocabulary that was learnt: any language, no phonemes."""

    def __init__(self, vocab: SentencePieceVocab) -> None:
        self.vocab = vocab

    @staticmethod
    def read(recording: Recording) -> str:
        """The text as `TextFrontend` reads it at inference; empty where there is none."""
        from uslm.text.normalize import normalize

        return normalize(_sentence(recording.text), recording.language)

    def transcribe(self, recording: Recording) -> Transcript:
        """Phonemes and durations that a recording brings are not looked at: they are of symbols."""
        text = self.read(recording)
        return Transcript(phonemes=text, text_ids=tuple(self.vocab.encode(text)))


def transcribe(
    recordings: Sequence[Recording], front_end: FrontEnd | PieceFrontEnd
) -> list[Transcript]:
    """A transcript for each recording: its own phonemes, or the front end's where it is English;
    subwords of every text from a front end for subwords."""
    if isinstance(front_end, PieceFrontEnd):
        return [front_end.transcribe(recording) for recording in recordings]
    spoken = [_sentence(each.text) if _needs_phonemes(each) else "" for each in recordings]
    texts = sorted({text for text in spoken if text})
    phonemes = _phonemized(texts, front_end) if texts else {}
    return [
        _transcript(each.phonemes or phonemes.get(text, ""), each.durations, front_end)
        for each, text in zip(recordings, spoken, strict=True)
    ]


def _phonemized(texts: Sequence[str], front_end: FrontEnd) -> dict[str, str | TextError]:
    """All at once, which is fast; one by one only where one of them cannot be read."""
    try:
        return dict(zip(texts, front_end.phonemize(texts), strict=True))
    except TextError as problem:
        if len(texts) == 1:
            return {texts[0]: problem}
    return {key: value for text in texts for key, value in _phonemized([text], front_end).items()}


def _needs_phonemes(recording: Recording) -> bool:
    return not recording.phonemes and recording.language.split("-")[0] == "en"


def _sentence(text: str) -> str:
    """A text in capitals only becomes a sentence; espeak would spell its words as abbreviations."""
    if not text.isupper():
        return text
    # Letters that were spelled out stay capitals: 'a' alone is an article.
    sentence = re.sub(r"\b[a-z](?: [a-z]\b)+", lambda run: run[0].upper(), text.lower())
    return f"{sentence[0].upper()}{sentence[1:].rstrip('.')}."


def _transcript(
    phonemes: str | TextError, durations: tuple[float, ...] | None, front_end: FrontEnd
) -> Transcript:
    if isinstance(phonemes, TextError):
        return Transcript(problem=f"text cannot be read: {phonemes}")
    if durations is None:
        return Transcript(phonemes=phonemes, text_ids=tuple(front_end.encode(phonemes)))
    text_ids = front_end.encode(phonemes)
    seconds = _in_step(phonemes, durations, text_ids, front_end)
    if seconds is None:
        return Transcript(problem="durations do not fit the phonemes")
    return Transcript(phonemes=phonemes, text_ids=tuple(text_ids), durations=seconds)


def _in_step(
    phonemes: str, durations: tuple[float, ...], text_ids: Sequence[int], front_end: FrontEnd
) -> tuple[float, ...] | None:
    """Durations of text ids from those of symbols; None where the two have nothing to do with each
    other. A symbol that the text ids leave out lends its time to the one before, and a space that
    they put in takes none."""
    before, each, after = durations[0], durations[1:-1], durations[-1]
    space, seconds, place = ids_of_symbol(" ", front_end.encode), [before], 0
    for symbol, duration in zip(phonemes, each, strict=True):
        own = ids_of_symbol(symbol, front_end.encode)
        left = duration
        for number, text_id in enumerate(own):
            if text_id not in space and list(text_ids[place : place + 1]) == space:
                seconds.append(0.0)
                place += 1
            if list(text_ids[place : place + 1]) == [text_id]:
                seconds.append(left / (len(own) - number))
                left -= seconds[-1]
                place += 1
        seconds[-1] += left
    if place != len(text_ids):
        return None
    return (*(round(s, 4) for s in seconds), after)


def ids_of_symbol(symbol: str, encode: Callable[[str], Sequence[int]]) -> list[int]:
    """The text ids of one symbol; alone, a space or a comma would be taken for a loose one."""
    return list(encode(symbol)) or list(encode(f"a{symbol}a"))[1:-1][:1]
