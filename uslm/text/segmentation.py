"""Long text -> segments of about a sentence."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

from __future__ import annotations

import re
from dataclasses import dataclass

from uslm.text.english.abbreviations import ABBREVIATIONS
from uslm.text.lines import unwrap

SHORTEST_SEGMENT = 24
"""Shorter sentences join their neighbour: models speak a lone word badly."""
LONGEST_PAUSE_SECONDS = 10.0

_PARAGRAPH = re.compile(r"\n\s*\n")
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]+[\"'”’)\]]{0,9}(?=\s)|[。！？]+[」』”]?|(?=\n)")
_CLAUSE_END = re.compile(r"[,;:—–)]+(?=\s)|[，；：、]|(?=\n)")
# The number or letter of an item belongs to the words after it.
_LAST_NUMBER = re.compile(r"(?<=\s)(\d{1,2})[.)]$")
_ITEM_NUMBER = re.compile(r"\s*\(?(?:\d{1,3}(?:\.\d{1,3}){0,3}|[A-Za-z]|[ivxIVX]{1,5})[.)]+")
_LAST_WORD = re.compile(r"([^\W\d_]+(?:\.[^\W\d_]+)*)\.$")
_ALWAYS_MORE = ABBREVIATIONS - {"etc", "Inc", "Ltd", "Co", "Corp", "Jr", "Sr", "St", "no", "No"}
_DOTTED = {"e.g", "i.e", "cf", "al", "vs"}


@dataclass(frozen=True)
class Segment:
    """A part of a script: text to say, or a silence."""

    text: str = ""
    """What is said; empty for a pause."""
    pause_seconds: float = 0.0
    """Length of the silence, seconds; 0 for text."""
    voice: str = ""
    """Who says it, where a script said so."""
    speed: float = 1.0
    """How fast, as a factor, where SSML said so."""
    starts_paragraph: bool = False
    """Whether SSML began a paragraph here, or ended one before."""

    @property
    def is_pause(self) -> bool:
        return not self.text


def split_text(text: str, max_chars: int = 220) -> list[str]:
    """Sentences of at most `max_chars`: short ones joined, long ones cut at commas, then words.

    No word is lost: the words of the segments in order are the words of the text. Only a word
    longer than `max_chars` is itself cut. Segments without a letter or digit (***) are left out,
    unless there is nothing else.
    """
    return [segment.rstrip("\n") for segment in split_lines(text, max_chars)]


def split_lines(text: str, max_chars: int = 220) -> list[str]:
    r"""Like `split_text`, but a segment that ends where its line was meant to end keeps its
    "\n"."""
    if max_chars < 1:
        raise ValueError(f"max_chars must be at least 1, but is {max_chars}")
    segments: list[str] = []
    for paragraph in _PARAGRAPH.split(text):
        parts = [
            part
            for sentence in _sentences(unwrap(paragraph))
            for part in _shorten(sentence, max_chars)
        ]
        segments += _join_short(parts, max_chars)
    return [segment for segment in segments if any(map(str.isalnum, segment))] or segments


def _sentences(text: str) -> list[str]:
    sentences = []
    start = 0
    for end in _SENTENCE_END.finditer(text):
        before = text[max(start, end.start() - 24) : end.end()]
        if end[0] and (
            _ITEM_NUMBER.fullmatch(before) or _goes_on(before, text[end.end() : end.end() + 8])
        ):
            continue
        item = _next_item(text[start : end.end()])
        if item is not None:
            sentences.append(text[start : start + item].rstrip())
            start += item
            continue
        sentences.append(text[start : end.end()] + "\n" * text.startswith("\n", end.end()))
        start = end.end()
    sentences.append(text[start:])
    return [sentence.lstrip() for sentence in sentences if sentence.strip()]


def _next_item(sentence: str) -> int | None:
    """Place of the next number of a list, if it ends this: "1. Milk 2." is cut before the 2."""
    last = _LAST_NUMBER.search(sentence)
    first = _ITEM_NUMBER.match(sentence)
    if last is None or first is None or not first[0].strip(" (.)").isdecimal():
        return None
    follows = int(last[1]) == int(first[0].strip(" (.)")) + 1
    return last.start(1) if follows and last.start(1) > first.end() else None


def _goes_on(before: str, after: str) -> bool:
    """Whether the stop belongs to an abbreviation, an initial or a number, not to the sentence."""
    following = after.lstrip()[:1]
    if following.islower():
        return before[-1] in ".…"
    last = _LAST_WORD.search(before)
    if last is None:
        return False
    word = last[1]
    if word in ("no", "No", "p", "pp", "Nos", "nos", "Vol", "Fig", "fig", "ext"):
        return following.isdigit()
    if word in _DOTTED or word in _ALWAYS_MORE or word == "St":
        return True
    if len(word) == 1:
        return word.isupper() and word != "I" and following.isupper()
    return "." in word and word[0].islower() is False and len(word) <= 5 and following.isdigit()


def _shorten(sentence: str, max_chars: int) -> list[str]:
    """The sentence, cut after commas and the like, or else between words, where it is too long."""
    parts: list[str] = []
    start = 0
    while len(sentence) - start > max_chars:
        window = sentence[start : start + max_chars + 1]
        ends = [end.end() for end in _CLAUSE_END.finditer(window) if end.end() <= max_chars]
        cut = ends[-1] if ends and ends[-1] >= max_chars // 3 else window.rfind(" ")
        cut = cut if cut > 0 else max_chars
        parts.append(window[:cut].rstrip())
        start += cut
        while sentence[start : start + 1] == " ":
            start += 1
    return [*parts, sentence[start:]] if start < len(sentence) else parts


def _join_short(parts: list[str], max_chars: int) -> list[str]:
    """Neighbours joined where one is very short and both fit."""
    joined: list[str] = []
    for part in parts:
        fits = bool(joined) and len(joined[-1]) + 1 + len(part) <= max_chars
        if fits and min(len(joined[-1]), len(part)) < SHORTEST_SEGMENT:
            joined[-1] += part if joined[-1].endswith("\n") else f" {part}"
        else:
            joined.append(part)
    return joined
