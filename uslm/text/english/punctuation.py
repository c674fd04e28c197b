"""Punctuation that a voice can follow: only . , ; : ? ! remain, without doubles or loose spaces."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

from __future__ import annotations

import re

# In order: (pattern, replacement), before the other rules run.
_SPOKEN = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<=\w)\((s|es)\)", r"\1"),  # word(s)
        (r"(?:(?<!\d) |^)[-*•‣◦·–—] +(?!\d)", ", "),  # a dash with spaces, or a bullet
        (r" ?(?:—|―|--+) ?", ", "),
        (r"(?<=[^\W\d_])–(?=[^\W\d_])", "-"),
        (r" ?(?:…|\.{2,})(?= [a-z])", ","),
        (r"(?<=[a-z])(?:…|\.{2,})(?=[a-z])", ", "),
        (r"…|\.{2,}", "."),
    )
)
# After the other rules.
_TIDY = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"[\"“”«»„‟¿¡]", ""),
        (r"(?<!\w)'|'(?!\w)", ""),
        (r"(?<!\w)[•·‣◦](?!\w)", " "),  # a bullet without a line
        (r"[)\]}]+(?=\W*$)", ""),
        (r"[(\[{]", ", "),
        (r"[)\]}]", ","),
        (r"(?<!\w)[-–]+|[-–]+(?!\w)", " "),
        (r"\s+", " "),
        (r" (?=[,.;:?!])", ""),
        (r"^[\s,.;:?!]+", ""),
    )
)
_RUN = re.compile(r"[,.;:?!]{2,}")
_NO_SPACE_AFTER = re.compile(r"([,;:?!])(?=[^\s,.;:?!])")


def spoken_punctuation(text: str) -> str:
    for pattern, replacement in _SPOKEN:
        text = pattern.sub(replacement, text)
    return text


def tidy(text: str) -> str:
    for pattern, replacement in _TIDY:
        text = pattern.sub(replacement, text)
    text = _RUN.sub(lambda run: _strongest(run[0]), text)
    return _NO_SPACE_AFTER.sub(r"\1 ", text).strip()


def _strongest(run: str) -> str:
    return next(mark for mark in "?!.;:," if mark in run)
