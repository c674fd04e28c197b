"""Clean-up for every language: spaces, line ends, invisible and control characters, look-alikes."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from uslm_tokenizer.errors import TextError

_SPACES = re.compile(r"[\s\u2028\u2029\u0085]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPECIAL = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff0-\uffff\ue000-\uf8ff\U000e0000-\U0010ffff]"
)
_INVISIBLE = {"Cf", "Mn", "Lm"}
_STYLED = re.compile("[\ufb00-\ufb06\uff01-\uff5e\U0001d400-\U0001d7ff\u2460-\u2473\u2160-\u217f]+")
_STACKED_MARKS = re.compile("([\u0300-\u036f]{2})[\u0300-\u036f]+")
_QUOTES = str.maketrans("‘’‚‛´`ʼ“”„‟\u2010\u2011\u2212", "'''''''\"\"\"\"--−")


@dataclass(frozen=True)
class Cleaned:
    """Text fit for the rules, and the name of each character that was taken out."""

    text: str
    dropped: tuple[str, ...]


def character_name(char: str) -> str:
    """U+0000 and the Unicode name, as messages and reports give it."""
    name = unicodedata.name(char, "")
    if not name:
        name = "control character" if unicodedata.category(char) == "Cc" else "unnamed character"
    shown = f"{char!r} " if char.isprintable() else ""
    return f"{shown}U+{ord(char):04X} {name}"


def clean(text: str) -> Cleaned:
    """One space between words, composed letters, straight quotes, nothing that cannot be printed.

    Control and private characters (NUL among them) are taken out and named in `dropped`; invisible
    format characters are taken out silently; half a surrogate pair is refused, since it shows that
    the text was cut or decoded wrongly.
    """
    broken = _SURROGATE.search(text)
    if broken:
        raise TextError(
            f"text must be valid Unicode, but character {broken.start() + 1} is the lone surrogate "
            f"U+{ord(broken[0]):04X}: read the text as UTF-8 again"
        )
    dropped = {
        char: None
        for char in _SPECIAL.findall(text)
        if unicodedata.category(char) not in _INVISIBLE
    }
    text = unicodedata.normalize("NFC", _SPACES.sub(" ", _SPECIAL.sub("", text)))
    text = _STYLED.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    text = _STACKED_MARKS.sub(r"\1", text).translate(_QUOTES)
    return Cleaned(text.strip(), tuple(character_name(char) for char in dropped))
