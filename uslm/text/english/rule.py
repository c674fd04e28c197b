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


# Words that open a sentence and are no names, so that what stands before them was the end of one.
STARTERS = words(
    "I He She It We They You This That These Those There Here My His Her Our Their Your Its What "
    "When Where Why How But And So Then If After Before Yes Now Later Also Some Most Many Every "
    "Is Are Was Were Do Does Did Has Have Had Can Could Would Should Let Please Maybe However"
)
NUMERAL = re.compile(
    r"I (?:and|or|of|to|is|was|has|in|by|for|with|shows|covers|begins|ends)"
    r"\b"
)
_PRONOUN = re.compile(r"I(?:'|(?= [a-z]))")


def is_pronoun(text: str, place: int) -> bool:
    """Whether the I at `place` is a person and no numeral: I won't; but vol. I is out."""
    after = text[place : place + 16]
    return bool(_PRONOUN.match(after)) and not NUMERAL.match(after)


def starts_sentence(match: Match[str]) -> bool:
    """Whether a word that only begins sentences comes next, as in "I saw the Dr. He left"."""
    after = re.match(
        r"[\"')]{0,2} [\"'(]?([A-Z]\w{0,12})", match.string[match.end() : match.end() + 20]
    )
    return after is not None and after[1] in STARTERS


def word_before(match: Match[str]) -> str:
    """The word that stands before a match, in small letters, or an empty text."""
    before = match.string[max(0, match.start() - 24) : match.start()]
    return before.split()[-1].lower() if before.strip() and before[-1] == " " else ""


def ends_sentence(match: Match[str]) -> bool:
    """Whether what follows a match looks like the end of the text or a new sentence."""
    after = match.string[match.end() : match.end() + 3].lstrip("\"')")
    return not after.strip() or (after[0] == " " and after[1:2].isupper())
