"""One rule of the normaliser: a pattern and what is said instead of what it finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from re import Match

# A number as it is written: 1,234.5 or 12 or 3.25 or .5, and where one may begin.
NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
NUMBER_STARTS = r"(?<![\w.,:/])"


@dataclass(frozen=True)
class Rule:
    """`say` gets each match and returns the words; a match given back unchanged waits for later."""

    name: str
    pattern: re.Pattern[str]
    say: Callable[[Match[str]], str]

    def __call__(self, text: str) -> str:
        return self.pattern.sub(self.say, text)


def rule(name: str, pattern: str, say: Callable[[Match[str]], str] | str, flags: int = 0) -> Rule:
    """A rule; a text in place of a function is an `re` template such as r"\\1 percent"."""
    if isinstance(say, str):
        template = say
        return Rule(name, re.compile(pattern, flags), lambda match: match.expand(template))
    return Rule(name, re.compile(pattern, flags), say)


def in_order(text: str) -> list[str]:
    """A list of words, written as one text."""
    return text.split()


def words(text: str) -> frozenset[str]:
    """A set of words, written as one text."""
    return frozenset(text.split())


def one_of(alternatives: Iterable[str]) -> str:
    """A regular expression for any of the texts, the longest first."""
    return "|".join(re.escape(text) for text in sorted(alternatives, key=len, reverse=True))


def ends_sentence(match: Match[str]) -> bool:
    """Whether what follows a match looks like the end of the text or a new sentence."""
    after = match.string[match.end() : match.end() + 3].lstrip("\"')")
    return not after.strip() or (after[0] == " " and after[1:2].isupper())
