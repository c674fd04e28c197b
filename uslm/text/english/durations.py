"""Spans of time written tightly: 2h30m, 1h30, 3m20s, 1/100 s, q8h; and 3s that are threes."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

from __future__ import annotations

from re import Match

from uslm.text.english.numbers import cardinal, fraction, ordinal, plural
from uslm.text.english.rule import one_of, rule

PARTS = {"days": "day", "hours": "hour", "minutes": "minute", "seconds": "second"}
SINGLE = {
    "s": "second", "sec": "second", "ms": "millisecond", "h": "hour", "hr": "hour",
    "min": "minute", "second": "second",
}  # fmt: skip


def _span(match: Match[str]) -> str:
    """Two parts at least; what is one alone is a measure."""
    found = {name: match[name] for name in PARTS if match[name] is not None}
    if len(found) < 2:
        return match[0]
    return " ".join(
        f"{cardinal(int(count))} {PARTS[name]}{'s' * (int(count) != 1)}"
        for name, count in found.items()
    )


def _part_of(match: Match[str]) -> str:
    unit = SINGLE[match[3]]
    article = "an" if unit == "hour" else "a"
    if match[1] == "1" and match[2] == "2":
        return f"half {article} {unit}"
    if int(match[2]) < 5:
        return f"{fraction(match[1], match[2])} of {article} {unit}"
    part = ordinal(match[2]).removeprefix("one ") + "s" * (match[1] != "1")
    return f"{cardinal(match[1])} {part} of {article} {unit}"


def _every(match: Match[str]) -> str:
    until = f" to {cardinal(match[2])}" if match[2] else ""
    return f"every {cardinal(match[1])}{until} hours"


def _groups(match: Match[str]) -> str:
    return f"{match[1]} {plural(cardinal(match[2]))} {match[3]} {plural(cardinal(match[4]))}"


RULES = (
    rule("groups of so many", r"\b((?i:in|by|into|of)) (\d{1,2})s (and|or) (\d{1,2})s\b", _groups),
    rule("hours and minutes", r"(?<![\w.,:/$£€-])(\d{1,2})h(\d\d)(?!\w)",
         lambda m: f"{cardinal(m[1])} hour{'s' * (m[1] != '1')} {cardinal(int(m[2]))}"),
    rule("span of time", r"(?<![\w.,:/$£€-])(?=\d)(?:(?P<days>\d{1,3})d ?)?"
         r"(?:(?P<hours>\d{1,3})h ?)?(?:(?P<minutes>\d{1,2})m(?:in)? ?)?"
         r"(?:(?P<seconds>\d{1,2})s(?:ec)?)?(?<=\w)(?!\w)", _span),
    rule("part of a second",
         rf"(?<![\w.,/])(\d{{1,2}})/([1-9]\d{{0,4}}) ?({one_of(SINGLE)})\b(?!/)", _part_of),
    rule("every so many hours", r"\b[qQ](\d{1,2})(?:[-–](\d{1,2}))?h\b", _every),
)  # fmt: skip
