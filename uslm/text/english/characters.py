"""Characters that stand for letters, digits and signs that the rules know: ㎏, Ⅳ, Sᵗ, H₂O."""

from __future__ import annotations

import unicodedata
from re import Match

from uslm.text.english.measures import UNITS, plural
from uslm.text.english.numbers import roman_to_int
from uslm.text.english.rule import rule

SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎", "0123456789+-=()")


def _folded(text: str) -> str:
    """The plain letters; the slashes that NFKC leaves are made plain ones."""
    return unicodedata.normalize("NFKC", text).translate({0x2044: "/", 0x2215: "/"})


def _roman(match: Match[str]) -> str:
    """Henry Ⅷ keeps its letters, for the rules of names; else the numeral is a number."""
    letters = _folded(match[2]).upper()
    value = roman_to_int(letters)
    return (match[1] or "") + (letters if match[1] or value is None else str(value))


def _raised(match: Match[str]) -> str:
    """3ʳᵈ -> 3rd, Sᵗ -> St, but 2ⁿ -> 2^n: a raised letter after a number is a power."""
    letters = _folded(match[2])
    ending = letters in ("st", "nd", "rd", "th") or match[1].isalpha()
    return match[1] + (letters if ending and letters != "n" else f"^{letters}")


def _ordinal(match: Match[str]) -> str:
    """1º -> 1st, as it is read; 11º -> 11th."""
    number = match[1]
    ending = {"1": "st", "2": "nd", "3": "rd"}.get(number[-1], "th")
    return number + ("th" if number[-2:-1] == "1" else ending)


def _unit(match: Match[str]) -> str:
    """5㎏ -> 5 kg; alone the sign is said in full."""
    unit = _folded(match[2])
    if match[1]:
        return f"{match[1]} {unit}"
    return plural(UNITS[unit]) if unit in UNITS else unit


RULES = (
    rule("no-break space in a number", r"(?<=\d)[\u00a0\u2007\u2009\u202f](?=\d{3}(?!\d))", ","),
    rule("slash", r"[\u2044\u2215]", "/"),
    rule("lowered signs", r"[₀-₎]+", lambda m: m[0].translate(SUBSCRIPTS)),
    rule("ordinal mark", r"(?<!\d)(\d{1,9})[ªº]", _ordinal),
    rule("ordinal mark, loose", r"[ªº]", " "),
    rule("raised letters", r"(\w)([ⁱⁿᵃ-ᵛʰ-ʸˡˢˣᶜᶠᶻ]+)", _raised),
    rule("roman numeral of one sign", r"(\b[A-Z][a-z]{2,20} )?([\u2160-\u217f]+)", _roman),
    rule("unit of one sign", r"(\d)? ?([\u3371-\u337a\u3380-\u33df])(?!\w)", _unit),
    rule("letters and numbers in a ring or square", r"[\u2460-\u249b\u24b6-\u24ff\u3200-\u33ff]",
         lambda m: _folded(m[0])),
    rule("double prime", r"(?<=\d)\u2032\u2032", "″"),
)  # fmt: skip


def spell_out(text: str) -> str:
    """Runs before characters are cleaned up: clean() would keep 10² of 10², but lose Ⅷ in VIII."""
    if text.isascii():
        return text
    for each in RULES:
        text = each(text)
    return text
