"""Formulas: powers of letters, primes and functions, sizes and products, chemistry, grades."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

from __future__ import annotations

import re
from re import Match

from uslm.text.english.measures import UNITS, plural
from uslm.text.english.numbers import cardinal, decimal, ordinal
from uslm.text.english.rule import NUMBER, NUMBER_STARTS, one_of, rule, words

ELEMENTS = words(
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br "
    "Kr Rb Sr Zr Ag Cd Sn Sb I Xe Cs Ba W Pt Au Hg Pb Bi U"
)
# Formulas without a number are told from names (NaN, HeLa) by this list alone.
PLAIN_FORMULAS = words(
    "NaCl HCl KCl NaOH KOH LiCl AgCl CaO MgO ZnO NaF HBr NaBr KBr LiOH CuO FeO TiN SiC GaAs GaN "
    "NaI CsI AgBr KCN NaCN"
)
FORMULA = re.compile(r"[A-Z][a-z]?|\d+")
SAID_UNITS = {said for said in UNITS.values()} | {plural(said) for said in UNITS.values()}
SAID_UNITS |= {"inch", "inches", "feet", "metres", "millimetres", "centimetres"}


def _power(match: Match[str]) -> str:
    base, exponent = match[1], match[2].strip("{}()")
    if exponent in ("2", "3"):
        return f"{base} {'squared' if exponent == '2' else 'cubed'}"
    if exponent.lstrip("-−+").isdecimal():
        said = decimal(exponent) if exponent[0] in "-−+" else ordinal(exponent)
        return f"{base} to the {said}"
    return f"{base} to the {exponent}"


def _function(match: Match[str]) -> str:
    prime = {"": "", "'": " prime"}.get(match[2], " double prime")
    return f"{match[1]}{prime} of {match[3]}"


def _chemical(match: Match[str]) -> str:
    parts = FORMULA.findall(match[0])
    symbols = [part for part in parts if not part.isdecimal()]
    counted = len(symbols) < len(parts) and len(symbols) > 1
    if not (match[0] in PLAIN_FORMULAS or counted) or not ELEMENTS.issuperset(symbols):
        return match[0]
    if match[0].isupper() and len(parts) < 4:
        return match[0]  # H2O and B2B are codes of capitals and digits
    return " ".join(cardinal(part) if part.isdecimal() else " ".join(part) for part in parts)


def _area(match: Match[str]) -> str:
    return re.sub(r" ?[x×] ?", " by ", match[0])


RULES = (
    rule("times a power of ten", r"(?<=\d) ?[x×*·] ?(?=10(?:\^|[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]))", " times "),
    rule("size with a unit", rf"{NUMBER_STARTS}{NUMBER}(?: ?[x×] ?{NUMBER}){{1,3}}"
         rf"(?= ?(?:{one_of(UNITS)}|{one_of(SAID_UNITS)})(?![\w.]))", _area),
    rule("minus after a power", r"(?<=\^\d|\w[²³]) [-−] (?=\w)", " minus "),
    rule("power of a letter", r"(?<![\w^])([A-Za-z]|\d+(?=\^[({]?[A-Za-z]))\^"
         r"(-?\d{1,3}|[A-Za-z]|\{[\w+-]{1,8}\}|\([\w+-]{1,8}\))(?!\w)", _power),
    rule("power of a bracket", r"(\))\^([23])(?!\w)", _power),
    rule("function", r"\b([a-zA-Z])('{1,2}|\")\(([^()]{1,20})\)", _function),
    rule("function without a prime", r"(?<![\w.])([fgh])()\(([a-z]|\d+)\)", _function),
    rule("grade", r"(?<![\w+-])([A-DF])([-−])(?=[\s,.;:!?)]|$)(?! [-−])", r"\1 minus"),
    rule("factor before a letter", r"(?<=[A-Za-z]\d (?:or) )(\d+)x\b|(?<=[A-Za-z]\d and )(\d+)x\b"
         r"|(?<![\w.,])(\d+)x(?= ?[-+=*/^)] ?[\w(])",
         lambda m: f"{cardinal(m[1] or m[2] or m[3])} x"),
    rule("chemical formula", r"(?<![\w.-])(?=[A-Z][A-Za-z\d]{1,30}(?![\w-]))(?:[A-Z][a-z]?\d{0,3})"
         r"{2,15}",
         _chemical),
)  # fmt: skip
