"""Numbers that look like years and count things: 2048 tokens, 1500 calories."""

from __future__ import annotations

from re import Match

from uslm.text.english.numbers import cardinal
from uslm.text.english.rule import one_of, rule, word_before, words

# A number of something, not a year: plural things after 1100 to 1899, and these after any.
COUNTED = one_of(
    [
        "tokens",
        "bytes",
        "bits",
        "words",
        "pages",
        "people",
        "users",
        "men",
        "women",
        "children",
        "students",
        "units",
        "segments",
        "items",
        "files",
        "rows",
        "lines",
        "samples",
        "steps",
        "frames",
        "points",
        "pixels",
        "characters",
        "copies",
        "calories",
        "dollars",
        "euros",
        "pounds",
        "grams",
        "kilograms",
        "tons",
        "tonnes",
        "meters",
        "metres",
        "miles",
        "kilometers",
        "feet",
        "inches",
        "liters",
        "litres",
        "gallons",
        "hours",
        "minutes",
        "seconds",
        "days",
        "volts",
        "watts",
        "hertz",
        "employees",
        "workers",
        "members",
        "customers",
        "votes",
        "seats",
        "cars",
        "homes",
        "houses",
        "units",
        "images",
        "examples",
        "tickets",
        "visitors",
        "subscribers",
        "followers",
        "parameters",
        "neurons",
        "layers",
        "degrees",
        "acres",
        "hectares",
        "residents",
        "soldiers",
        "troops",
        "jobs",
        "stores",
        "shares",
        "times",
        "percent",
        "species",
        "cases",
        "participants",
        "patients",
    ]
)
YEAR_BEFORE = words("in since by of until before after from the")


def _things(match: Match[str]) -> str:
    """2048 tokens; but in 1984 people read."""
    return match[0] if word_before(match) in ("in", "since", "by") else cardinal(match[1])


def _many(match: Match[str]) -> str:
    """1500 calories; but in 1500 things were done otherwise."""
    return match[0] if word_before(match) in YEAR_BEFORE else cardinal(match[1])


COUNT_RULES = (
    rule("count of things", rf"(?<![\w.,/:$£€#'-])(1[1-9]\d\d|20\d\d)(?=[ -](?:{COUNTED})\b)",
         _things),
    rule("count of many things", r"(?<![\w.,/:$£€#'-])(1[1-8]\d\d)"
         r"(?= (?!was|is|has|as|his|its|us|this|thus|plus|always|perhaps)[a-z]{2,}s\b)", _many),
)  # fmt: skip
