"""Written text -> spoken text. English is rewritten; other languages pass untouched."""

from __future__ import annotations

from uslm.text.clean import clean
from uslm.text.english import clean_english, normalize_english


def is_english(language: str) -> bool:
    return language.lower().partition("-")[0].partition("_")[0] == "en"


def normalize(text: str, language: str = "en-us") -> str:
    """The words to say: "Dr. Lee paid $5" -> "Doctor Lee paid five dollars".

    Languages other than English only have spaces, quotes and control characters cleaned up:
    espeak reads their numbers itself.
    """
    if is_english(language):
        return normalize_english(clean_english(text).text)
    return clean(text).text
