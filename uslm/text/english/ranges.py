"""The "to" that a dash stands for, between months, days, verses, letters, ordinals and sums."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

from __future__ import annotations

from re import Match

from uslm.text.english.dates_times import (
    BIBLE,
    DATE_STARTS,
    MONTH_NAMES,
    WEEKDAY_NAMES,
    WEEKDAYS,
)
from uslm.text.english.money import SCALES, SYMBOL
from uslm.text.english.numbers import cardinal, decimal, ordinal, year
from uslm.text.english.rule import NUMBER, one_of, rule

TO = r" ?[-–] ?"
MONTH = rf"(?:{one_of(MONTH_NAMES)})\b\.?"
DAYS = {name: day for day in WEEKDAYS for name in (day, day.upper(), day[:3].upper())}
DAYS |= WEEKDAY_NAMES
SCALE = rf"(?:[ -]?({one_of(SCALES)})\b)?"


def _month(name: str) -> str:
    return MONTH_NAMES[name.rstrip(".")]


def _months(match: Match[str]) -> str:
    return f"{_month(match[1])} to {_month(match[2])}"


def _days_of_month(match: Match[str]) -> str:
    """3-4 May has no "th", so it needs its "the"."""
    if not 1 <= int(match["first"]) < int(match["last"]) <= 31:
        return match[0]
    the = "" if match["ending"] else "the "
    said = f"{the}{ordinal(match['first'])} to {ordinal(match['last'])} of {_month(match['month'])}"
    return said + (f", {year(match['year'])}" if match["year"] else "")


def _school_year(match: Match[str]) -> str:
    """2020/21 and 2018/2019, when the second year is the next one."""
    first, second = match[1], match[2]
    if int(second) != (int(first) + 1) % 10 ** len(second):
        return match[0]
    return f"{year(first)} to {year(second) if len(second) == 4 else cardinal(second)}"


def _letters(match: Match[str]) -> str:
    """A-Z; letters near each other are more often a name (A-B test)."""
    first, last = match[1], match[2]
    far = ord(last) - ord(first) >= 3
    return f"{first} to {last}" if far else match[0]


def _sums(match: Match[str]) -> str:
    """£1m-£2m: the currency is said once, after the second sum."""
    country, symbol = match["country"] or "", match["symbol"]
    scale = f" {SCALES[match['scale1']]}"
    return f"{decimal(match['first'])}{scale} to {country}{symbol}{match['second']}{match['tail']}"


def _verses(match: Match[str]) -> str:
    last = f" to {cardinal(match[4])}" if match[4] else ""
    return f"{match[1]} {cardinal(match[2])} {cardinal(match[3])}{last}"


RULES = (
    rule("weekdays", rf"\b({one_of(DAYS)})\b\.?{TO}({one_of(DAYS)})\b(?:\.(?=[ ,]))?",
         lambda m: f"{DAYS[m[1]]} to {DAYS[m[2]]}"),
    rule("months", rf"\b({MONTH}){TO}({MONTH})(?!\w)(?! \d{{1,2}}\b)", _months),
    rule("from a month's day or year", rf"(?<=\d|[a-z]){TO}(?={MONTH} \d)", " to "),
    rule("days of a month", rf"{DATE_STARTS}(?P<first>\d{{1,2}})(?P<ending>st|nd|rd|th)?{TO}"
         rf"(?P<last>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? (?P<month>{MONTH})"
         r"(?:,? (?P<year>1\d{3}|20\d{2})\b)?(?![-\d])", _days_of_month),
    rule("ordinals", rf"(?<=\d)(st|nd|rd|th){TO}(?=\d+(?:st|nd|rd|th)\b)", r"\1 to "),
    rule("school year", r"(?<![\w/.,-])(1[89]\d\d|20\d\d)/((?:\d\d){1,2})(?![\w/]|[.,]\d)",
         _school_year),
    rule("decades", rf"(?<=\d0s){TO}(?='?\d\d(?:\d\d)?s\b)", " to "),
    rule("from noon", rf"(?i)\b(noon|midnight|midday){TO}(?=\d)", r"\1 to "),
    rule("until noon", rf"(?i)(?<=[\dm.]){TO}(?=(?:noon|midnight|midday)\b)", " to "),
    rule("verses", rf"\b({one_of(BIBLE)}) (\d{{1,3}}):(\d{{1,3}})(?:[-–](\d{{1,3}}))?\b(?!:)",
         _verses),
    rule("letters", r"(?<![\w'-])([A-Z])[-–]([A-Z])(?![\w'-])|(?<![\w'-])(a)[-–](z)(?![\w'-])",
         lambda m: _letters(m) if m[1] else "a to z"),
    rule("sums", rf"{SYMBOL}(?P<first>{NUMBER})[ -]?(?P<scale1>{one_of(SCALES)})\b{TO}"
         rf"(?:(?P=country))?(?P=symbol)?(?P<second>{NUMBER})(?P<tail>[ -]?(?:{one_of(SCALES)})\b)",
         _sums),
    rule("minus before is", rf"(?<=\d) - (?={NUMBER} (?:is|equals|makes|leaves|=))", " minus "),
)  # fmt: skip
