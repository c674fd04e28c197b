"""Dates, years, decades and times of day."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

from __future__ import annotations

import re
from re import Match

from uslm.text.english.numbers import ONES, cardinal, decade, digits, ordinal, year
from uslm.text.english.rule import in_order, one_of, rule

MONTHS = in_order(
    "January February March April May June July August September October November December"
)
MONTH_NAMES = {month[:3]: month for month in MONTHS} | {month: month for month in MONTHS}
MONTH_NAMES |= {"Sept": "September"}
MONTH_NAMES |= {name.upper(): month for name, month in MONTH_NAMES.items()}
# In small letters these are words too (may, march, mar), and stay as they are.
SMALL_MONTHS = "january february april june july august september october november december jan feb"
SMALL_MONTHS += " apr jun jul aug sept sep oct nov dec"
WEEKDAYS = in_order("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
WEEKDAY_NAMES = {day[:3]: day for day in WEEKDAYS}
WEEKDAY_NAMES |= {"Tues": "Tuesday", "Thur": "Thursday", "Thurs": "Thursday", "Weds": "Wednesday"}
BIBLE = in_order(
    "Genesis Exodus Leviticus Deuteronomy Psalm Psalms Proverbs Isaiah Matthew Mark Luke John "
    "Acts Romans Corinthians Galatians Ephesians Philippians Hebrews James Peter Revelation"
)

MONTH = rf"(?P<month>{one_of(MONTH_NAMES)})\b\.?"
DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th|ST|ND|RD|TH)?"
YEAR = r"(?P<year>1\d{3}|20\d{2})"
WEEKDAY = rf"({one_of(WEEKDAY_NAMES)})"
HALF = r"(?P<half>[ap]\.?m\b\.?|[AP]\.?M\b\.?)"
DATE_STARTS = r"(?<![\w/.-])"
DATE_ENDS = r"(?![\w/-]|[.,]\d)"


def _date(month: int, day: int, written_year: str | None) -> str | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    said = f"{MONTHS[month - 1]} {ordinal(day)}"
    if written_year is None:
        return said
    if len(written_year) == 2:
        written_year = ("19" if int(written_year) >= 50 else "20") + written_year
    return f"{said}, {year(written_year)}"


def _iso_date(match: Match[str]) -> str:
    parts = match.groupdict()
    month, day = parts["m"] or parts["m2"], parts["d"] or parts["d2"]
    said = _date(int(month), int(day), parts["y"])
    if said is None:
        return match[0]
    return said + (f" at {parts['time']}" if parts.get("time") else "")


def _month_first(match: Match[str]) -> str:
    first, second = int(match[1]), int(match[2])
    return _date(first, second, match[3]) or _date(second, first, match[3]) or match[0]


def _day_first(match: Match[str]) -> str:
    first, second = int(match[1]), int(match[2])
    return _date(second, first, match[3]) or _date(first, second, match[3]) or match[0]


def _dotted_short_year(match: Match[str]) -> str:
    """31.10.23 is a day like no version; it is said as people write it, the day first."""
    day, month = int(match[1]), int(match[2])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    century = "19" if int(match[3]) >= 50 else "20"
    return f"the {ordinal(day)} of {MONTHS[month - 1]}, {year(century + match[3])}"


def _both_days(match: Match[str]) -> str:
    stop = "." if match["stop"] and (match.end() == len(match.string)) else ""
    return f"{WEEKDAY_NAMES[match[1]]} {match[2]} {WEEKDAY_NAMES[match[3]]}{stop}"


def _month_day(match: Match[str]) -> str:
    if not 1 <= int(match["day"]) <= 31:
        return match[0]
    said = f"{MONTH_NAMES[match['month']]} {ordinal(match['day'])}"
    if match["until"]:
        said += f" to {ordinal(match['until'])}"
    return said + (f", {year(match['year'])}" if match["year"] else "")


def _day_month(match: Match[str]) -> str:
    if not 1 <= int(match["day"]) <= 31:
        return match[0]
    said = f"{match['the'] or 'the '}{ordinal(match['day'])} of {MONTH_NAMES[match['month']]}"
    return said + (f", {year(match['year'])}" if match["year"] else "")


def _month_year(match: Match[str]) -> str:
    return f"{MONTH_NAMES[match['month']]} {year(match['year'])}"


def _half_day(match: Match[str]) -> str:
    """a.m. or p.m. after a time, and the full stop if the sentence ends there."""
    half = match["half"]
    if half is None:
        return ""
    after = re.match(r" ([A-Z]\w{0,2})", match.string[match.end() : match.end() + 4])
    names = {name[:3] for name in (*MONTHS, *WEEKDAYS)} | {"Eas", "Pac", "Cen", "Gre"}
    names |= {"EST", "EDT", "PST", "PDT", "CST", "CET", "GMT", "UTC", "ET", "PT"}
    over = match.end() == len(match.string) or (after is not None and after[1] not in names)
    return f" {half[0].upper()} M" + ("." if half.endswith(".") and over else "")


def _time(match: Match[str]) -> str:
    hour, minute = int(match["hour"]), int(match["minute"])
    if hour > 24 or minute > 59:
        return match[0]
    half = _half_day(match)
    if match["second"]:
        said = f"{cardinal(hour)} {_minutes(minute) or 'hundred'} and "
        return said + cardinal(int(match["second"])) + " seconds" + half
    if minute:
        return f"{cardinal(hour)} {_minutes(minute)}{half}"
    if half:
        return cardinal(hour) + half
    if hour in (0, 24):
        return "midnight"
    return f"{cardinal(hour)} o'clock" if hour <= 12 else f"{cardinal(hour)} hundred"


def _minutes(minute: int) -> str:
    if 0 < minute < 10:
        return f"oh {ONES[minute]}"
    return cardinal(minute) if minute else ""


def _hour(match: Match[str]) -> str:
    hour = int(match["hour"])
    return cardinal(hour) + _half_day(match) if hour <= 24 else match[0]


def _race_time(match: Match[str]) -> str:
    minute, second = cardinal(int(match[1])), _minutes(int(match[2])) or "zero"
    return f"{minute} {second} point {digits(match[3])}"


def _years(match: Match[str]) -> str:
    """The second year stays in digits: it may be a plain number with a unit after it."""
    second = match[2] if len(match[2]) == 4 else _minutes(int(match[2])) or "hundred"
    return f"{year(match[1])} to {second}"


def _short_year(match: Match[str]) -> str:
    return _minutes(int(match[1])) or "oh oh"


SMALL_RULES = (
    rule("month in small letters before a day",
         rf"\b({one_of(SMALL_MONTHS.split())})\.? (?=\d{{1,2}}(?:st|nd|rd|th)?"
         r"(?![\w%:/]|[.,]\d| ?(?:%|percent|am|pm)))", lambda m: f"{m[1].capitalize()} "),
    rule("month in small letters after a day",
         rf"(?:(?<=\d )|(?<=th |st |nd |rd |of ))({one_of(SMALL_MONTHS.split())})\b\.?"
         r"(?= ?(?:[,;.!?]|\d{4}\b|$))", lambda m: m[1].capitalize()),
    rule("two weekdays", rf"\b{WEEKDAY}\b\.?,? (and|&|or|to|through|thru) {WEEKDAY}\b(?P<stop>\.)"
         rf"?", _both_days),
    rule("weekday with a stop", r"\b(Mon|Tues?|Weds?|Thurs?|Thu|Fri)\.(?= [a-z\d])",
         lambda m: WEEKDAY_NAMES[m[1]]),
    rule("weekday in capitals before a month",
         rf"\b(MON|TUE|WED|THU|FRI|SAT|SUN)\.?,? (?=(?:{one_of(MONTH_NAMES)})\b)",
         lambda m: f"{WEEKDAY_NAMES[m[1].capitalize()]} "),
)  # fmt: skip
"""These run before ranges."""

RULES = (
    rule("weekday", rf"\b{WEEKDAY}(?:\.(,)?|(,))(?= (?:\d|at\b|{one_of(MONTH_NAMES)}\b))"
         rf"|\b{WEEKDAY}()(?= (?:{one_of(MONTH_NAMES)})\.? \d)",
         lambda m: WEEKDAY_NAMES[m[1] or m[4]] + (m[2] or m[3] or "")),
    rule("ISO date", r"(?<![\w-])(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})"
         r"(?:[T ](?P<time>\d{2}:\d{2}(?::\d{2})?)Z?)?(?![\w-])", _iso_date),
    rule("ISO date with slashes", r"(?<![\w/.-])(?P<y>[12]\d{3})(?:/(?P<m>\d{1,2})/(?P<d>\d{1,2})"
         r"|\.(?P<m2>\d\d)\.(?P<d2>\d\d))(?![\w/-]|[.,]\d)", _iso_date),
    rule("date with dots, short",
         r"(?<![\w/.-])(?<![Vv]ersion )(\d{2})\.(\d{2})\.(\d{2})(?![\w/-]|[.,:]\d)",
         _dotted_short_year),
    rule("date with dots after a word",
         r"(?<=\b(?:on|by|of) )(\d{1,2})\.(\d{1,2})\.(\d{2})(?![\w/-]|[.,:]\d)",
         _dotted_short_year),
    rule("date with slashes", rf"{DATE_STARTS}(\d{{1,2}})/(\d{{1,2}})/(\d{{4}}|\d{{2}}){DATE_ENDS}",
         _month_first),
    rule("date with dashes", rf"{DATE_STARTS}(\d{{1,2}})-(\d{{1,2}})-(\d{{4}}){DATE_ENDS}",
         _month_first),
    rule("date with dots", rf"{DATE_STARTS}(\d{{1,2}})\.(\d{{1,2}})\.(\d{{4}}){DATE_ENDS}",
         _day_first),
    rule("month and day", rf"\b{MONTH} {DAY}(?: ?[-–] ?(?P<until>\d{{1,2}})(?:st|nd|rd|th)?)?"
         rf"(?:,? {YEAR})?(?![\w:%/]|[.,]\d| ?[ap]\.?m\b)", _month_day),
    rule("day and month", rf"{DATE_STARTS}(?P<the>\b[Tt]he )?\b{DAY}(?: of)? {MONTH}(?:,? {YEAR})?"
         r"(?!\w)", _day_month),
    rule("month and year", rf"\b{MONTH},? {YEAR}{DATE_ENDS}", _month_year),
    rule("month alone", r"\b(Jan|Feb|Aug|Sept|Oct|Nov|Dec)\.(?=[ ,])", lambda m: MONTH_NAMES[m[1]]),
    rule("month at the end", r"\b(Jan|Feb|Aug|Sept|Oct|Nov|Dec)\.$",
         lambda m: MONTH_NAMES[m[1]] + "."),
    rule("from hour to hour", rf"(?P<from>\b\d{{1,2}}(?:[:.]\d\d)?(?: ?[apAP]\.?[mM]\b\.?)?)"
         rf" ?[-–] ?(?=\d{{1,2}}(?:[:.]\d\d)? ?{HALF})", r"\g<from> to "),
    rule("from time to time", r"(?<=:\d\d) ?[-–] ?(?=\d{1,2}:\d\d)", " to "),
    rule("race time", r"(?<![\w:.])(\d{1,2}):([0-5]\d)\.(\d+)(?![\w:])", _race_time),
    rule("time with a dot", rf"(?<![\w.:,$£€])(?P<hour>\d{{1,2}})\.(?P<minute>[0-5]\d)(?P<second>"
         rf"(?!))? ?{HALF}", _time),
    rule("time", rf"(?<![\w:.,])(?P<hour>\d{{1,2}}):(?P<minute>\d{{2}})(?::(?P<second>[0-5]\d))?"
         rf"(?![\w:]|[.,]\d)(?: ?{HALF})?", _time),
    rule("time, attached", rf"(?<![\w:.,])(?P<hour>\d{{1,2}}):(?P<minute>\d{{2}})(?P<second>)?"
         rf"{HALF}", _time),
    rule("hour", rf"(?<![\w:.,])(?P<hour>\d{{1,2}}) ?{HALF}", _hour),
    rule("decade", r"(?<![\w.,])'?(1[1-9]\d0|20\d0|[2-9]0)'?s\b", lambda m: decade(m[1])),
    rule("short year", r"(?<!\w)'(\d{2})\b(?!['\d])", _short_year),
    rule("span of years",
         r"(?<![\w.,/-])(1[1-9]\d\d|20\d\d) ?[-–] ?((?:\d\d){1,2})(?![\w/-]|[.,]\d)",
         _years),
    rule("fiscal year", r"\bFY[ -]?'?(?:(20\d\d|19\d\d)|(\d\d))\b",
         lambda m: f"F Y {year(m[1]) if m[1] else cardinal(int(m[2]))}"),
    rule("year after A.D.", r"(\bA\.? ?D\.? )(\d{3,4})\b(?![,.]\d)",
         lambda m: "A D " + (year(m[2]) if len(m[2]) == 4 else cardinal(m[2]))),
    rule("year before B.C.", r"(?<![\w.,])(1\d{3})(?= ?(?:A\.?D|B\.?C|C\.?E|B\.?C\.?E)\b)",
         lambda m: year(m[1])),
    rule("circa", r"(?<![\w.])c\. ?(?=\d{3,4}\b)", "circa "),
    rule("century", r"(?<=\d)(st|nd|rd|th) c\.(?! ?[a-z]\.)(?=(\s*$)?)",
         lambda m: f"{m[1]} century" + ("." if m[2] is not None and m.start() > 6 else "")),
    rule("old year",
         r"\b((?:[Ii]n|[Ss]ince|[Oo]f|[Uu]ntil|[Bb]efore|[Aa]fter|AD) )(10\d\d)\b(?![,.]?\d)",
         lambda m: m[1] + year(m[2])),
)  # fmt: skip

YEAR_RULE = rule(
    "year", r"(?<![\w.,/:$£€#])(1[1-9]\d\d|20\d\d)(?![\w/%°]|[.,:]\d)", lambda m: year(m[1])
)
