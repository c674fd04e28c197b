"""The table of rules that turn written English into spoken English, in the order they run."""

from __future__ import annotations

import re

from uslm.text.english import (
    abbreviations,
    addresses,
    capitals,
    chat,
    code,
    contractions,
    dates_times,
    durations,
    formulas,
    measures,
    money,
    quantities,
    ranges,
    separators,
    symbols,
)
from uslm.text.english.numbers import digits
from uslm.text.english.punctuation import spoken_punctuation, tidy
from uslm.text.english.rule import Rule

# Earlier rules see the text as written, so what is specific comes first: an address may hold a
# date, a date a range, a range a number. The last group leaves letters and . , ; : ? ! only.
RULES: tuple[Rule, ...] = (
    *chat.RULES,
    *code.RULES,
    *addresses.RULES,
    *capitals.LIST_RULES,
    *separators.RULES,
    *dates_times.SMALL_RULES,
    *ranges.RULES,
    *durations.RULES,
    *dates_times.RULES,
    *abbreviations.COUNTED_RULES,
    *quantities.LETTERED_RULES,
    *formulas.RULES,
    *measures.SIGN_RULES,
    *money.RULES,
    *measures.RULES,
    *abbreviations.RULES,
    *capitals.ROMAN_RULES,
    *quantities.RULES,
    *symbols.RULES,
    *contractions.RULES,
    *capitals.RULES,
)

LONGEST_TOKEN = 256
"""Longer runs without a space are no words; they pass by the rules, which keeps these linear."""

_LONG_TOKEN = re.compile(rf"((?<!\S)\S{{{LONGEST_TOKEN},}})")


def normalize_english(text: str) -> str:
    """Say numbers, dates, money, units, abbreviations and signs in words.

    `text` is clean: one kind of space, straight quotes, no control characters.
    """
    segments = _LONG_TOKEN.split(text)
    segments[::2] = [_apply(segment) for segment in segments[::2]]
    segments[1::2] = [_read_out(token) for token in segments[1::2]]
    return tidy("".join(segments))


def _apply(text: str) -> str:
    if not text.strip():
        return text
    text = spoken_punctuation(text)
    for rule in RULES:
        text = rule(text)
    return text


def _read_out(token: str) -> str:
    """A token too long to be a word: its digits one by one, the rest as it is."""
    return re.sub(r"\d+", lambda match: f" {digits(match[0])} ", token)
