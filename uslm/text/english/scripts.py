"""Scripts that the voice cannot read: Cyrillic and Greek in Latin letters, others left out."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container
from functools import lru_cache
from re import Match

from uslm.text.clean import character_name
from uslm.text.english.symbols import SAID

# espeak's English voice has the letters of these, and reads words with them by their own rules.
# Of the rest it says "Chinese letter", "Arabic seen", "letter one two a zero".
READ = frozenset(
    [
        "LATIN",
        "DEVANAGARI",
        "GUJARATI",
        "GURMUKHI",
        "KANNADA",
        "MALAYALAM",
        "TELUGU",
        "SINHALA",
        "BENGALI",
        "TAMIL",
        "HANGUL",
        "ARMENIAN",
        "GEORGIAN",
        "GREEK",
    ]
)
CYRILLIC = {
    "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ё": "yo", "ж": "zh", "з": "z",
    "и": "i", "й": "y", "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r",
    "с": "s", "т": "t", "у": "u", "ф": "f", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh",
    "щ": "shch", "ъ": "", "ы": "y", "ь": "", "э": "e", "ю": "yu", "я": "ya", "і": "i",
    "ї": "yi", "є": "ye", "ґ": "g", "ў": "w", "ј": "y", "љ": "ly", "њ": "ny", "ћ": "ch",
    "ђ": "j", "џ": "j", "ѓ": "g", "ќ": "k", "ѕ": "dz", "ҫ": "s", "ҳ": "h", "қ": "k", "ғ": "g",
    "ң": "ng", "ө": "o", "ү": "u", "ұ": "u", "һ": "h", "ә": "a", "җ": "j", "ҙ": "z", "ҡ": "k",
    "ҷ": "j", "ӏ": "", "ҕ": "g", "ҭ": "t", "ԥ": "p", "ҵ": "ts", "ҽ": "ch", "ҿ": "ch", "ҟ": "k",
    "ӡ": "dz", "ҩ": "o", "ҧ": "p", "ҥ": "ng", "ԝ": "w", "ҝ": "g", "ҹ": "j",
}  # fmt: skip
GREEK = {
    "α": "a", "β": "v", "γ": "g", "δ": "d", "ε": "e", "ζ": "z", "η": "i", "θ": "th", "ι": "i",
    "κ": "k", "λ": "l", "μ": "m", "ν": "n", "ξ": "x", "ο": "o", "π": "p", "ρ": "r", "σ": "s",
    "ς": "s", "τ": "t", "υ": "i", "φ": "f", "χ": "ch", "ψ": "ps", "ω": "o",
}  # fmt: skip
GREEK_PAIRS = {"ου": "ou", "αι": "e", "ει": "i", "οι": "i", "μπ": "b", "ντ": "nd", "γγ": "ng"}
FOLDED = {"ı": "i", "ŉ": "n", "ſ": "s", "ƒ": "f", "ə": "e", "Ə": "E", "ẞ": "ß", "ș": "ş", "Ș": "Ş"}
FOLDED |= {"ʻ": "'", "ʽ": "'", "ʹ": "", "ʺ": "", "ɛ": "e", "Ɛ": "E", "ɔ": "o", "Ɔ": "O", "ɣ": "gh"}
FOLDED |= {"Ɣ": "Gh", "ɖ": "d", "Ɖ": "D", "ʋ": "v", "Ʋ": "V", "ɩ": "i", "ɲ": "ny", "Ɲ": "Ny"}
FOLDED |= {"ț": "ţ", "Ț": "Ţ", "ɓ": "b", "ɗ": "d", "ƙ": "k", "Ƙ": "K", "Ɓ": "B", "Ɗ": "D"}

_FOREIGN = re.compile(r"[^\x00-\u017f\u2000-\u206f\U000f0000-\U000ffffd]")
_CYRILLIC_WORD = re.compile(r"[\u0400-\u052f]+")
_GREEK_WORD = re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]{2,}")
# What is left of the phonetic letters once those that languages write with are folded.
_PHONETIC_WORD = re.compile(r"(?<![^\W\d_])[^\W\d_]*[\u0250-\u02af\u02d0][\w\u02b0-\u02ff]*")


def in_latin(text: str) -> str:
    """Cyrillic and Greek words, and letters with rare marks, in letters that the voice knows."""
    if not _FOREIGN.search(text) and not FOLDED.keys() & set(text):
        return text
    text = _CYRILLIC_WORD.sub(_cyrillic, text)
    text = _GREEK_WORD.sub(_greek, text)
    return "".join(_folded(char) if char > "\u0130" else char for char in text)


def leave_out(text: str) -> tuple[str, list[str]]:
    """Without what cannot be said, and the name of each character that is gone."""
    gone: dict[str, None] = {}
    if not _FOREIGN.search(text):
        return text, []

    def word(match: Match[str]) -> str:
        if len(match[0]) == 1:
            return match[0]
        gone.update(dict.fromkeys(char for char in match[0] if not char.isascii()))
        return " "

    text = _PHONETIC_WORD.sub(word, text)
    unread = dict.fromkeys(char for char in _FOREIGN.findall(text) if not _is_said(char))
    if unread:
        text = " ".join(_without(token, unread) for token in text.split(" "))
    gone.update(unread)
    return text, [character_name(char) for char in gone]


def _without(token: str, unread: Container[str]) -> str:
    """Faces such as ¯\\_(ツ)_/¯ go as a whole: their brackets and slashes say nothing alone."""
    if not any(char in unread for char in token):
        return token
    rest = "".join(" " if char in unread else char for char in token)
    return rest if any(map(str.isalnum, rest)) or rest.strip() in ".,;:?!" else " "


@lru_cache(maxsize=4096)
def _is_said(char: str) -> bool:
    """Marks and punctuation are silent by nature, and nobody needs to know that they are gone."""
    category = unicodedata.category(char)
    if char in SAID:
        return True
    if category in ("So", "Sk") or (category in ("Mn", "Mc") and _script(char) not in READ):
        return _is_mark(char)
    if category[0] in "LN":
        return _script(char) in READ or category == "No"
    return True


def _is_mark(char: str) -> bool:
    return "\u0300" <= char <= "\u036f"


def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0]


@lru_cache(maxsize=4096)
def _folded(char: str) -> str:
    """A letter without the marks that the voice does not know: Nguyễn -> Nguyen."""
    if char in FOLDED:
        return FOLDED[char]
    latin = "\u0180" <= char <= "\u024f" or "\u1e00" <= char <= "\u1eff"
    plain = unicodedata.normalize("NFKD", char)[0] if latin else char
    return plain if plain.isascii() else char


def _cyrillic(match: Match[str]) -> str:
    return _spelled(match[0], CYRILLIC)


def _greek(match: Match[str]) -> str:
    plain = unicodedata.normalize("NFD", match[0])
    plain = "".join(char for char in plain if unicodedata.category(char) != "Mn")
    for pair, said in GREEK_PAIRS.items():
        plain = plain.replace(pair, said)
    return _spelled(plain, GREEK)


def _spelled(word: str, table: dict[str, str]) -> str:
    out = []
    for char in word:
        small = char.lower()
        said = table.get(small, table.get(unicodedata.normalize("NFD", small)[0], char))
        out.append(said.capitalize() if char.isupper() else said)
    return "".join(out)
