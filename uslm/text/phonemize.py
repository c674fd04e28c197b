"""Words -> phonemes (IPA) with espeak-ng, and no word lost on the way."""

# ruff: noqa: RUF001 (apostrophes look alike)

from __future__ import annotations

import re
from collections.abc import Sequence
from re import Match
from typing import Protocol, runtime_checkable

from uslm.text.espeak import ESPEAK, EspeakProcess
from uslm.text.language import espeak_language
from uslm.text.normalize import is_english

LONGEST_SEGMENT = 300
"""Characters handed to espeak at once: over some thousands it returns nothing at all."""
LONGEST_WORD = 60
"""Characters without a space between; espeak silently cuts words off at about 150 bytes, and 65
times "'s" in one word end its process. Of some 20,000 random words of this length in 28 scripts
none did by its length."""

# Where phonemizer cuts a line. Like phonemizer we keep . and , inside a number.
_MARKS = re.compile(r'\s?(?:[;:!?¡¿—…"«»“”(){}\[\]]|(?<![0-9])[,.]|[,.](?![0-9]))'
                    r'(?:[;:!?¡¿—…"«»“”(){}\[\]\s]|(?<![0-9])[,.]|[,.](?![0-9]))*')  # fmt: skip
_SPACES = re.compile(r"\s+")
_LONG_WORD = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")
# Where it is cut: rather after a hyphen or a slash than within "don't", or within letters.
_PART_OF_WORD = re.compile(rf"\S{{1,{LONGEST_WORD - 1}}}[^\w\s'’](?=\S)|\S{{1,{LONGEST_WORD}}}")
_SPELLED = re.compile(r"(?<![\w'-])[A-Z](?: [A-Z])+(?:'s)?(?!\w)")
_LETTER_A = re.compile(
    r"\b((?i:vitamin|plan|type|grade|option|class|group|section|team|hepatitis|exhibit|part|an|"
    r"level|gate|letter) )A\b(?![-'])|"
    r"\bA (?=(?:plus|minus)\b)|"
    r"\b((?!(?:Upon|Of|Is|In|On|With|For|To|As|And|Like|Such|What|Not|From|By|At|But|Or|Was|It)\b)"
    r"[A-Z][a-z]+ )A(?= [A-Z][a-z])|"
    r"\bA (?=to [B-Z]\b|(?:one|two|three|four|five|six|seven|eight|nine) "  # A to Z, A three eighty
    r"(?:oh|ten|eleven|twelve|\w{3,5}teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty)\b)|"
    r"(?<=[a-z,] )A (?=(?:one|two|three|four|five|six|seven|eight|nine|ten)\b)"
)
_LOOSE_S = re.compile(r" (?=[zs](?: |$))")


@runtime_checkable
class Phonemizer(Protocol):
    """Anything that turns words into phonemes; another one than espeak can take its place."""

    def phonemize(self, texts: Sequence[str], language: str) -> list[str]:
        """One line of phonemes for each text, its punctuation kept."""
        ...


class EspeakPhonemizer:
    """espeak-ng from the wheel `espeakng-loader`, through `phonemizer`; no system package needed.

    phonemizer 3.4.0 keeps the point of "3.5." inside the number but later looks for the mark "."
    by its text, finds the one in the number, and shifts or drops what follows. So the text is
    cut at its punctuation here, and phonemizer only ever sees segments without any. The library
    itself runs in a process of its own, one for all; see espeak.py.
    """

    def __init__(self, process: EspeakProcess = ESPEAK) -> None:
        self._process = process

    def phonemize(self, texts: Sequence[str], language: str = "en-us") -> list[str]:
        english, language = is_english(language), espeak_language(language)
        return [self._line(language, text, english) for text in texts]

    @property
    def version(self) -> str:
        """Of espeak-ng: "1.52"."""
        return self._process.version()

    def separated(self, words: str, language: str = "en-us") -> str:
        """Phones of words without punctuation by espeak: "_" between phones, spaces between words,
        stress as it marks it, in brackets where it switches to another language."""
        language = espeak_language(language)
        parts = _split_long(_cut_long_words(words))
        said = [self._process.separated(language, part) for part in parts]
        return " ".join(part for part in said if part) if len(said) > 1 else said[0]

    def _line(self, language: str, text: str, english: bool) -> str:
        text = _SPACES.sub(" ", text).strip()
        segments: list[str] = []
        marks: list[str] = []
        end = 0
        for mark in _MARKS.finditer(text):
            segments.append(text[end : mark.start()])
            marks.append(mark[0])
            end = mark.end()
        segments.append(text[end:])
        spoken = [self._segment(language, segment, english) for segment in segments]
        joined = [said + mark for said, mark in zip(spoken, [*marks, ""], strict=True)]
        return "".join(joined).strip()

    def _segment(self, language: str, segment: str, english: bool) -> str:
        parts = _split_long(_cut_long_words(segment))
        said = [self._words(language, part, english) for part in parts]
        return " ".join(part for part in said if part)

    def _words(self, language: str, words: str, english: bool) -> str:
        if not words or words.isspace():
            return ""
        if english:
            words = _LETTER_A.sub(_letter_a, words)
            words, spelled = _SPELLED.subn(_dotted, words)
        said = self._process.phonemes(language, words)
        if not said and " " in words:
            alone = (self._process.phonemes(language, word) for word in words.split())
            said = " ".join(filter(None, alone))
        return _LOOSE_S.sub("", said) if english and spelled and "'s" in words else said


def _cut_long_words(segment: str) -> str:
    """The same with spaces in words that are too long."""
    return _LONG_WORD.sub(lambda word: " ".join(_PART_OF_WORD.findall(word[0])), segment)


def _letter_a(match: Match[str]) -> str:
    """A- is read as the letter; A alone would be the article."""
    before, _, after = match[0].rpartition("A")
    return f"{before}A-{after}"


def _dotted(match: Match[str]) -> str:
    """F B I -> F.B.I., which espeak spells with the stress of a name, whatever the letters say."""
    letters, _, ending = match[0].partition("'")
    return letters.replace(" ", ".") + "." + (f"'{ending}" if ending else "")


def _split_long(segment: str) -> list[str]:
    """Parts of at most LONGEST_SEGMENT characters, cut at spaces."""
    if len(segment) <= LONGEST_SEGMENT:
        return [segment]
    parts = [""]
    for word in segment.split():
        if len(parts[-1]) + 1 + len(word) > LONGEST_SEGMENT:
            parts.append(word)
        else:
            parts[-1] = f"{parts[-1]} {word}".strip()
    return parts
