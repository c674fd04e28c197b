"""The text front end of VALL-E and USLM: espeak's phones, whole, in the published order of ids.

    Wait... what?   ->  w|eɪ|t..._w|ʌ|t?   ->  <bos> w eɪ t . . . _ w ʌ t ? <eos>

Unlike our own models these keep "eɪ" as one symbol, write "_" between words, and know no stress.
"""

# ruff: noqa: RUF001, RUF002 (this file is about characters that look alike)

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from uslm.text.phonemize import EspeakPhonemizer
from uslm_tokenizer.errors import ConfigError, MissingResource

# The table of the pretrained checkpoint has these; its own numbers are not used.
_TABLE = """
    <eps> ! " ( ) , . : ; ? _ aɪ aɪə aɪɚ aɪʊ aɪʊɹ aʊ b d dʒ e enus es eɪ f fr h i iə iː j k l m n nʲ
    oʊ oː oːɹ p r s t tʃ uː v w x z æ ç ð ø ŋ ɐ ɑ ɑː ɑːɹ ɔ ɔɪ ɔː ɔːɹ ə əl ɚ ɛ ɛɹ ɛː ɜː ɡ ɡʲ ɣ ɪ ɪɹ ɫ
    ɬ ɲ ɹ ɾ ʃ ʊ ʊɹ ʌ ʒ ʔ \u0303 \u0329 θ ᵻ —
"""
SYMBOLS = tuple(_TABLE.split())
MARKS = ';:,.!?¡¿—…"«»“”'
"""What is kept as it is written; the text is cut there."""
PHONE, WORD = "|", "_"
"""What stands between phones and between words."""
PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"

_MARKED = re.compile(rf"((?:\s*[{re.escape(MARKS)}]+\s*)+)")
_STRESS = re.compile("[ˈˌ'-]+")
_TOKEN = re.compile(r"\w+|[^\w\s]")


class ValleVocab:
    """Symbols in the order of their code points, after padding and the two marks of a text."""

    reads: Literal["phonemes", "text"] = "phonemes"

    def __init__(self, symbols: Iterable[str] = SYMBOLS) -> None:
        self.symbols = (PAD, BOS, EOS, *sorted(symbols))
        self._ids = {symbol: place for place, symbol in enumerate(self.symbols)}
        if len(self._ids) < len(self.symbols):
            raise ConfigError("a table of symbols must name each once")
        self._longest = max(map(len, self.symbols))

    @classmethod
    def load(cls, path: str | Path) -> ValleVocab:
        """The table of a checkpoint (`unique_text_tokens.k2symbols`): a symbol and a number a line.

        The published code sorts the symbols anew, and so do we: the numbers mean nothing.
        """
        path = Path(path)
        if not path.is_file():
            raise MissingResource(f"there is no table of symbols {str(path)!r}")
        lines = [line.rsplit(maxsplit=1) for line in path.read_text("utf-8").splitlines() if line]
        if not lines or any(len(line) != 2 or not line[1].isdigit() for line in lines):
            raise ConfigError(f"{path} must hold a symbol and a number in each line")
        return cls(symbol for symbol, _ in lines)

    @property
    def size(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> list[int]:
        """Ids of phonemes, as `VallePhonemizer` or our own vocabulary writes them, between marks.

        A phone that the table lacks is taken apart; what remains unknown is left out.
        """
        ids = [self._ids[part] for token in tokens(text) for part in self._known(token)]
        return [self._ids[BOS], *ids, self._ids[EOS]]

    def decode(self, ids: Sequence[int]) -> str:
        """The phonemes, with spaces between words; padding and marks are passed over."""
        said = "".join(self.symbols[place] for place in ids if place >= 3)
        return said.replace(WORD, " ")

    def unknown(self, text: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(t for t in tokens(text) if "".join(self._known(t)) != t))

    def _known(self, token: str) -> list[str]:
        """The token itself, or else the longest symbols in it, from left to right."""
        parts, place = [], 0
        while place < len(token):
            ends = range(min(len(token), place + self._longest), place, -1)
            end = next((end for end in ends if token[place:end] in self._ids), None)
            if end is not None:
                parts.append(token[place:end])
            place = place + 1 if end is None else end
        return parts


def tokens(phonemes: str) -> list[str]:
    """The published tokens of a line: phones, marks, and a sign between words."""
    line = _STRESS.sub("", phonemes).replace(" ", WORD)
    found: list[str] = []
    for word in line.split(WORD):
        found += [token for token in _TOKEN.findall(word) if token != PHONE]
        found.append(WORD)
    return found[:-1]


class VallePhonemizer:
    """Cuts a text at its marks, lets espeak speak the segments, and joins them again.

    As the published code does with phonemizer 3.2.1, it cuts numbers too: "3.50" becomes "three .
    fifty"; texts should have their numbers as words before. espeak-ng 1.52 says some words
    otherwise than the 1.51 that the models were made with ("four": ɔːɹ for oːɹ).
    """

    def __init__(self, speak: Callable[[str, str], str] | None = None) -> None:
        """`speak(segment, language)` is espeak; phones apart by "_", words by spaces."""
        self._speak = EspeakPhonemizer().separated if speak is None else speak

    def phonemize(self, texts: Sequence[str], language: str = "en-us") -> list[str]:
        return [self._line(text, language) for text in texts]

    def _line(self, text: str, language: str) -> str:
        parts = cut(text)
        spoken = [
            clean_phonemes(self._speak(part, language)) if part else "" for part in parts[::2]
        ]
        marks = [mark.replace(" ", WORD) for mark in parts[1::2]]
        return "".join(said + mark for said, mark in zip(spoken, [*marks, ""], strict=True))


def cut(text: str) -> list[str]:
    """Segments to be spoken and marks with the spaces around them, in turn."""
    return _MARKED.split(text.strip())


def clean_phonemes(spoken: str) -> str:
    """Phones of a segment by espeak, with our signs between phones and words, without stress."""
    # espeak leaves a separator too many at the end of some words.
    line = re.sub("_+", "_", spoken.strip()).replace("_ ", " ")
    words = [_STRESS.sub("", word).replace("_", PHONE) for word in line.split(" ")]
    return WORD.join(words)
