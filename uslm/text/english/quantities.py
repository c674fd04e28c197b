"""Numbers that are left once dates, money and units are gone: ordinals, fractions, decimals."""

from __future__ import annotations

import re
from re import Match

from uslm.text.english.counts import COUNT_RULES
from uslm.text.english.dates_times import YEAR_RULE
from uslm.text.english.numbers import cardinal, decimal, fraction, ordinal, plural, year
from uslm.text.english.rule import NUMBER, NUMBER_STARTS, one_of, rule, word_before, words

VULGAR = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5",
    "⅘": "4/5", "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8", "⅒": "1/10",
}  # fmt: skip
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
SOFTWARE = words(
    "Python Java Node Ubuntu Debian Android Windows macOS iOS Linux CUDA PHP Ruby Perl Go "
    "Django Chrome Firefox Office Bluetooth USB HTTP HTML release Release build Build "
    "version Version versions ver Section section"
)
NUMBERED = words(
    "Boeing Airbus Route Highway Interstate Flight flight Room room Area Peugeot Suite suite"
)
# What has a number and a letter: seat 14B, figure 2M.
PLACES = words(
    "seat figure table gate exit apartment room row unit flat suite section block route page part "
    "exhibit appendix platform level floor chapter class grade form schedule step house bay lot "
    "terminal door track line bus building hall zone stand pier dock cell question rule article "
    "number highway plate box item apt bldg cabin locker ward studio paragraph clause annex"
)
FIXED = {"24/7": "twenty-four seven", "9/11": "nine eleven", "50/50": "fifty-fifty"}
OPERATORS = {"+": "plus", "=": "equals", "*": "times", "/": "divided by", "÷": "divided by"}


def _points(number: str) -> str:
    """3.11 -> three point eleven, as versions are read."""
    return " point ".join(cardinal(part) for part in number.split("."))


def _dotted(match: Match[str]) -> str:
    """1.000.000 is a million, 2.0.1 a version."""
    first, *groups = match[0].split(".")
    if len(first) <= 3 and all(len(group) == 3 for group in groups):
        return cardinal("".join((first, *groups)))
    return _points(match[0])


def _code(match: Match[str]) -> str:
    """MP3 -> M P three; a run of letters long enough to be a word is left to the capitals."""
    parts = re.findall(r"[A-Z]+|\d+", match[0])
    if len(parts) == 1:
        return match[0]
    said = [
        cardinal(part) if part.isdecimal() else part if len(part) > 3 else " ".join(part)
        for part in parts
    ]
    return " ".join(said)


def _model_number(match: Match[str]) -> str:
    """Boeing 747 -> seven forty-seven, Room 101 -> one oh one."""
    first, rest = match[1] or match["first"], match[2] or match["rest"]
    kind = match["kind"] or ""
    if rest == "00":
        return f"{kind}{cardinal(first + rest)}"
    return f"{kind}{cardinal(first)} {'oh ' * (rest[0] == '0')}{cardinal(int(rest))}"


def _lettered_model(match: Match[str]) -> str:
    """A380 -> A three eighty."""
    first, rest = match[2], match[3]
    number = cardinal(first + rest)
    if rest != "00":
        number = f"{cardinal(first)} {'oh ' * (rest[0] == '0')}{cardinal(int(rest))}"
    return f"{' '.join(match[1])} {number}"


def _place(match: Match[str]) -> str:
    said = year(match[1]) if len(match[1]) == 4 else cardinal(match[1])  # form ten forty A
    return f"{said} {match[2]}" if word_before(match) in PLACES else match[0]


def _mixed(match: Match[str]) -> str:
    """2 1/2 -> two and a half."""
    part = fraction(match[2], match[3])
    whole, top = cardinal(match[1]), part.partition(" ")[0]
    if top == "one":
        part = ("an " if "eight" in part else "a ") + part.removeprefix("one ")
    return f"{whole} and {part}"


def _power(match: Match[str]) -> str:
    """10^6 -> ten to the sixth; a negative power is read as a number."""
    exponent = match[2].translate(SUPERSCRIPTS)
    said = decimal(exponent) if exponent[0] == "-" else ordinal(exponent)
    return f"{decimal(match[1])} to the {said}"


def _scientific(match: Match[str]) -> str:
    exponent = match[2].lstrip("+")
    said = decimal(exponent) if exponent[0] == "-" else ordinal(exponent)
    return f"{decimal(match[1])} times ten to the {said}"


COUNTED_PEOPLE = one_of(
    words(
        "people persons students doctors dentists users patients voters women men children adults "
        "players members teams tests questions answers games matches respondents teachers parents "
        "customers employees kids countries states cases times votes seats schools companies"
    )
)


def _out_of(match: Match[str]) -> str:
    """11/12 people; halves, thirds and quarters of people are said as parts."""
    part, whole = int(match[1]), int(match[2])
    usual = part < whole <= 4
    return match[0] if usual or part > whole else f"{cardinal(part)} out of {cardinal(whole)}"


LETTERED_RULES = (
    rule("place and letter", r"(?<=[a-zA-Z] )(\d{1,4})-?([A-Z])(?!\w)", _place),
    rule("house number and letter",
         r"(?<![\w.])([1-9])([1-9]\d|0[1-9])([A-Z])(?= [A-Z][a-z]+ (?:[A-Z][a-z]+|St))",
         lambda m: f"{cardinal(m[1])} {'oh ' * (m[2][0] == '0')}{cardinal(int(m[2]))} {m[3]}"),
)  # fmt: skip
"""These run before units, for B and M are scales there."""

RULES = (
    rule("vulgar fraction", rf"(?:(\d) ?)?([{''.join(VULGAR)}])",
         lambda m: (f"{m[1]} " if m[1] else "") + VULGAR[m[2]]),
    rule("fixed expression", rf"(?<![\w/.])({one_of(FIXED)})(?![\w/])", lambda m: FIXED[m[1]]),
    rule("IP address", r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)",
         lambda m: " dot ".join(cardinal(part) for part in m[0].split("."))),
    rule("version", rf"\b((?:{one_of(SOFTWARE)}),? )(\d+(?:\.\d+)+)(?!\w)",
         lambda m: m[1] + _points(m[2])),
    rule("v2", r"(?<!\w)[vV]\.?(\d+(?:\.\d+)*)([a-z]\d?)?(?!\w)",
         lambda m: f"version {_points(m[1])}" + f" {m[2]}" * bool(m[2])),
    rule("dotted number", r"(?<![\w.])\d+(?:\.\d+){2,}(?!\w)", _dotted),
    rule("power", r"(?<![\w.,])(\d+)\^(-?\d+)", _power),
    rule("raised power", r"(?<![\w.,])(\d+)([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)",
         lambda m: _power(m) if m[2] not in "²³" else f"{cardinal(m[1])}{m[2]}"),
    rule("squared", r"(?<=\w)²", " squared"),
    rule("cubed", r"(?<=\w)³", " cubed"),
    rule("scientific", r"(?<![\w.,])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,3})(?![\w.])", _scientific),
    rule("out of", r"(?<![\w/.,])(\d+(?:\.\d+)?)/(\d{1,3})(?= (?:stars?|points?|ratings?|marks?)"
         r"\b)",
         lambda m: f"{decimal(m[1])} out of {cardinal(m[2])}"),
    rule("rated", r"(?i)\b((?:rat(?:ed|e|ing)|scor(?:ed|e|es|ing)|grade[ds]?|gave (?:it|this|them)"
         r"|gets?)"
         r"(?: (?:a|an|it|of|is|was)){0,2}:? )(\d+(?:\.\d+)?)/(\d{1,3})(?![\w/])",
         lambda m: f"{m[1]}{decimal(m[2])} out of {cardinal(m[3])}"),
    rule("decimal out of", r"(?<![\w/.,])(\d+\.\d+)/(5|10|20|100)(?![\w/.])",
         lambda m: f"{decimal(m[1])} out of {cardinal(m[2])}"),
    rule("so many of the people",
         rf"(?<![\w/.,-])(?<!\d )(\d{{1,3}})/(\d{{1,3}})(?= (?:{COUNTED_PEOPLE})\b)", _out_of),
    rule("mixed fraction", rf"{NUMBER_STARTS}(\d+)[ -](\d{{1,2}})/(\d{{1,3}})(?![\w/])", _mixed),
    rule("fraction", rf"{NUMBER_STARTS}(\d{{1,3}})/([1-9]\d{{0,3}})(?![\w/]|\.\d)",
         lambda m: fraction(m[1], m[2])),
    rule("ratio", rf"(?<![\w:.,])({NUMBER}):({NUMBER})(?![\w:]|,\d)",
         lambda m: f"{decimal(m[1])} to {decimal(m[2])}"),
    rule("ordinal", r"(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th|ST|ND|RD|TH)\b",
         lambda m: ordinal(m[1])),
    rule("model of letters and three digits", r"(?<![\w'.-])([A-Z]{1,2})([1-9])(\d\d)(?![\w]|,\d)",
         _lettered_model),
    rule("letters and digits in capitals", r"(?<![\w'.])(?=\d*[A-Z])[A-Z\d]{2,20}(?!\w)",
         _code),
    rule("model number",
         rf"(?<=[A-Z]-)(\d)(\d\d)\b(?!,?\d)|\b(?P<kind>(?:{one_of(NUMBERED)}) )"
         r"(?P<first>\d)(?P<rest>\d\d)\b(?!,?\d)", _model_number),
    *COUNT_RULES,
    YEAR_RULE,
    rule("number with commas", r"(?<![\w.,])(\d{1,3}(?:,\d{3})+(?:\.\d+)?)(?![\d]|,\d)",
         lambda m: decimal(m[1])),
    rule("decimal before a letter", r"(?<![\w.])(\d+(?:\.\d+)+)(?=[A-Za-z]{1,6}\d{0,2}(?!\w))",
         lambda m: f"{_points(m[1]) if m[1].count('.') > 1 else decimal(m[1])} "),
    rule("decimal", r"(?<![\w.])(\d*\.\d+)(?![\w]|\.\d)", lambda m: decimal(m[1])),
    rule("number in the plural", r"(?<![\w.])(\d+)s\b", lambda m: plural(cardinal(m[1]))),
    rule("letters and digits", r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", " "),
    rule("operator", r"(?<=\d) ?([+=*÷]) ?(?=[\d(])|(?<=\d) (/) (?=\d)",
         lambda m: f" {OPERATORS[m[1] or m[2]]} "),
    rule("number", r"\d+", lambda m: cardinal(m[0])),
)  # fmt: skip
"""The last rule leaves no ASCII digit behind."""
