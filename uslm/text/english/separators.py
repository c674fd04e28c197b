"""Numbers with other separators than ours: 1 234 567, 1.000 €, 1,00,000, 10'000, 1,5 meters."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

from __future__ import annotations

import re
from re import Match

from uslm.text.english.measures import UNITS, plural
from uslm.text.english.rule import one_of, rule

SAID_UNITS = {said for said in UNITS.values()} | {plural(said) for said in UNITS.values()}
SAID_UNITS |= {"metre", "metres", "litre", "litres", "million", "billion", "percent", "euro"}
SAID_UNITS |= {"kilometre", "kilometres", "years", "euros", "times"}
MEASURED = rf"(?= ?(?:{one_of(UNITS)})(?![\w.])| (?:{one_of(SAID_UNITS)})\b)"
EUROPEAN = r"(?:€|EUR\b|[Ee]uros?\b|kr\b|zł|Kč|R\$|CHF\b|₺|₽)"
COUNTED_AFTER = r"(?= ?(?:[€£$₹%]|[kcm]?m\b|kg\b)| [a-z]{3,}s?\b)"


def _grouped(match: Match[str]) -> str:
    return re.sub(r"[ .']", ",", match[0])


def _spaced(match: Match[str]) -> str:
    """1 234 567 is a number; 100 200 300 may be three, and 0 before one makes it a telephone's."""
    first, *groups = match[0].split(" ")
    alone = len(groups) == 1
    if (alone and not groups[0].endswith("00")) or (len(first) == 3 and groups[-1] != "000"):
        return match[0]
    return _grouped(match)


def _lakhs(match: Match[str]) -> str:
    plain = match[0].replace(",", "")
    return f"{int(plain):,}"


def _decimal_comma(match: Match[str]) -> str:
    return match[0].replace(",", ".")


RULES = (
    rule("thousands by dots before a currency",
         rf"(?<![\w.,])\d{{1,3}}(?:\.\d{{3}})+(?:,\d\d)?(?= ?{EUROPEAN})",
         lambda m: m[0].replace(".", "").replace(",", ".")),
    rule("thousands by dots after a currency", r"(?<=€)\d{1,3}(?:\.\d{3})+(?:,\d\d)?(?![\d.])",
         lambda m: m[0].replace(".", "").replace(",", ".")),
    rule("thousands by apostrophes", r"(?<![\w.,'])\d{1,3}(?:'\d{3})+(?![\w'])", _grouped),
    rule("thousands by spaces",
         r"(?<![\w.,+(/:-])(?<!\d )[1-9]\d{0,2}(?: \d{3})+(?!\w|[-/:]\d| \d)",
         _spaced),
    rule("lakhs", r"(?<![\w.,])\d{1,2}(?:,\d\d)+,\d{3}(?![\w,])", _lakhs),
    rule("decimal comma in a pair",
         rf"(?<![\w.,])\d+,\d{{1,2}} ?(?:and|to|or|[-–]) ?\d+,\d{{1,2}}{MEASURED}", _decimal_comma),
    rule("decimal comma before a unit", rf"(?<![\w.,])\d+,\d{{1,2}}(?!\d){MEASURED}",
         _decimal_comma),
    rule("decimal comma before money", rf"(?<![\w.,])\d+,\d\d(?= ?{EUROPEAN})", _decimal_comma),
)  # fmt: skip
