"""Punctuation that a voice can follow: only . , ; : ? ! remain, without doubles or loose spaces."""

from __future__ import annotations

import re

# In order: (pattern, replacement), before the other rules run.
_SPOKEN = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"</?[A-Za-z][^<>\s]{0,30}>", " "),  # a mark-up tag
        (r"(?<=\w)\((s|es)\)", r"\1"),  # word(s)
        (r"(?:(?<!\d) |^)[-*•‣◦·–—] +(?!\d)", ", "),  # a dash with spaces, or a bullet
        (r" ?(?:—|―|--+) ?", ", "),
        (r"(?<=[^\W\d_])–(?=[^\W\d_])", "-"),
        (r" ?(?:…|\.{2,})(?= [a-z])", ","),
        (r"…|\.{2,}", "."),
    )
)
# After the other rules.
_TIDY = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"[\"“”«»„‟¿¡]", ""),
        (r"(?<!\w)'|'(?!\w)", ""),
        (r"[(\[{]", ", "),
        (r"[)\]}]", ","),
        (r"(?<!\w)[-–]+|[-–]+(?!\w)", " "),
        (r"\s+", " "),
        (r" (?=[,.;:?!])", ""),
        (r"[,.;:?!]*([?!])[,.;:?!]*", r"\1"),
        (r"[,;:]*\.[,.;:]*", "."),
        (r",*([;:])[,;:]*", r"\1"),
        (r",+", ","),
        (r"([,;:?!])(?=[^\s,.;:?!])", r"\1 "),
        (r"^[\s,.;:?!]+", ""),
    )
)


def spoken_punctuation(text: str) -> str:
    for pattern, replacement in _SPOKEN:
        text = pattern.sub(replacement, text)
    return text


def tidy(text: str) -> str:
    for pattern, replacement in _TIDY:
        text = pattern.sub(replacement, text)
    return text.strip()
