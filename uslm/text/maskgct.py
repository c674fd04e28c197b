"""The text front end of MaskGCT and Vevo: espeak's phones, whole, as the published table has them.

    Wait, what's that?   ->  w|eɪ|t|,|w|ʌ|t|'|ɛ|s|_|ð|æ|t|?

A mark stands for the space beside it, and an apostrophe is a mark. Of the published languages
English, French and German are here; Chinese, Japanese and Korean need dictionaries of their own.
"""

# ruff: noqa: RUF001, RUF002 (this file is about characters that look alike)

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from uslm.text.normalize import is_english
from uslm.text.phonemize import EspeakPhonemizer
from uslm_tokenizer.errors import ConfigError, MissingResource, TextError

VOCAB_FILE = "vocab.json"
"""The table's name in the folder of a model."""
MARKS = ",.?!;:'…"
"""What is kept as it is written; the text is cut there."""
SEPARATOR, WORD = "|", "_"
"""What stands between symbols; the symbol between words."""
LANGUAGES = ("en", "fr", "de")

_WESTERN = str.maketrans("，。！？；：、‘’⋯", ",.!?;:,''…")
_DOTS = re.compile(r"\.\.\.|···|・・・")
_UNREAD = re.compile(rf"[^\w\s{re.escape(MARKS)}]")
_MARKED = re.compile(rf"\s*([{re.escape(MARKS)}])\s*")
_STRESS = re.compile("[ˈˌ]")
_FLAG = re.compile(r"\([^)]*\)")
# English phones that the published table writes as others, or as one.
_ENGLISH_PAIRS = {
    ("t", "ɹ"): "tɹ",
    ("d", "ɹ"): "dɹ",
    ("t", "s"): "ts",
    ("d", "z"): "dz",
    ("ɪ", "ɹ"): "ɪɹ",
    ("oː", "ɹ"): "oːɹ",
}
_ENGLISH = {"ɐ": "ɚ", "ᵻ": "ɪ", "əl": "l", "x": "k", "ɬ": "l", "ʔ": "t", "n̩": "n"}


class MaskGCTVocab:
    """The published symbols and their ids."""

    reads: Literal["phonemes", "text"] = "phonemes"

    def __init__(self, ids: Mapping[str, int]) -> None:
        if WORD not in ids or min(ids.values()) < 0:
            raise ConfigError(f"a table of symbols must hold {WORD!r} and ids from 0 up")
        self._ids = dict(ids)
        self._symbols = {place: symbol for symbol, place in ids.items()}
        self._longest = max(map(len, ids))

    @classmethod
    def load(cls, path: str | Path) -> MaskGCTVocab:
        """The published table (`vocab.json`): symbol to id, under the key "vocab"."""
        path = Path(path)
        if not path.is_file():
            raise MissingResource(f"there is no table of symbols {str(path)!r}")
        try:
            ids = json.loads(path.read_text("utf-8"))["vocab"]
            return cls({str(symbol): int(place) for symbol, place in ids.items()})
        except (KeyError, TypeError, AttributeError, ValueError) as problem:
            raise ConfigError(f"{path} must hold a table of symbols: {problem}") from problem

    @property
    def size(self) -> int:
        """One more than the highest id."""
        return max(self._symbols) + 1

    def encode(self, text: str) -> list[int]:
        """Ids of phonemes, as `MaskGCTPhonemizer` or our own vocabulary writes them.

        A symbol that the table lacks is taken apart; what remains unknown is left out.
        """
        return [self._ids[part] for symbol in symbols(text) for part in self._known(symbol)]

    def decode(self, ids: Sequence[int]) -> str:
        """The phonemes, with spaces between words."""
        return "".join(self._symbols[place] for place in ids).replace(WORD, " ")

    def unknown(self, text: str) -> tuple[str, ...]:
        """Symbols that the table does not have, nor all parts of them."""
        lost = [symbol for symbol in symbols(text) if "".join(self._known(symbol)) != symbol]
        return tuple(dict.fromkeys(lost))

    def _known(self, symbol: str) -> list[str]:
        """The symbol itself, or else the longest ones in it, from left to right."""
        parts, place = [], 0
        while place < len(symbol):
            ends = range(min(len(symbol), place + self._longest), place, -1)
            end = next((end for end in ends if symbol[place:end] in self._ids), None)
            if end is not None:
                parts.append(symbol[place:end])
            place = place + 1 if end is None else end
        return parts


class MaskGCTPhonemizer:
    """Cuts a text at its marks and lets espeak speak the segments."""

    def __init__(self, speak: Callable[[str, str], str] | None = None) -> None:
        """`speak(segment, language)` is espeak; phones apart by "_", words by spaces."""
        self._speak = EspeakPhonemizer().separated if speak is None else speak

    def phonemize(self, texts: Sequence[str], language: str = "en-us") -> list[str]:
        """A line of symbols for each text."""
        if language.lower().split("-")[0] not in LANGUAGES:
            raise TextError(
                f"language must be one of {', '.join(LANGUAGES)} for this model, "
                f"but is {language!r}"
            )
        return [self._line(text, language) for text in texts]

    def _line(self, text: str, language: str) -> str:
        line: list[str] = []
        for place, part in enumerate(cut(text)):
            is_mark = place % 2 == 1
            line += [part] if is_mark else self._segment(part, language)
        return SEPARATOR.join(line)

    def _segment(self, words: str, language: str) -> list[str]:
        """Symbols of some words without marks."""
        if not words:
            return []
        spoken = _STRESS.sub("", _FLAG.sub("", self._speak(words, language)))
        line: list[str] = []
        for word in spoken.split():
            phones = [phone for phone in word.split("_") if phone]
            line += [WORD] * bool(line and phones)
            line += _in_english(phones) if is_english(language) else phones
        return line


def cut(text: str) -> list[str]:
    """Segments to be spoken and single marks, in turn; signs that nobody reads are gone."""
    western = _DOTS.sub("…", text.translate(_WESTERN).strip())
    return [part.strip() for part in _MARKED.split(_UNREAD.sub("", western))]


def symbols(line: str) -> list[str]:
    """The symbols of a line, in which a space may stand for the sign between words."""
    spaced = _STRESS.sub("", line).replace(" ", f"{SEPARATOR}{WORD}{SEPARATOR}")
    return [symbol for symbol in spaced.split(SEPARATOR) if symbol]


def _in_english(phones: Sequence[str]) -> list[str]:
    """The phones of a word, as the published table writes English."""
    # In the published order: pairs of phones as espeak says them, then single ones, then no more.
    joined: list[str] = []
    for phone in phones:
        pair = _ENGLISH_PAIRS.get((joined[-1], phone)) if joined else None
        joined[len(joined) - (pair is not None) :] = [pair or phone]
    return [_ENGLISH.get(phone, phone) for phone in joined]
