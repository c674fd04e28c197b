"""Abbreviations with a full stop, and where that stop also ends the sentence."""

from __future__ import annotations

import re
from re import Match

from uslm.text.english.numbers import cardinal, roman_to_int
from uslm.text.english.rule import (
    ends_sentence,
    is_pronoun,
    one_of,
    rule,
    starts_sentence,
    words,
)

# Said before a name; the stop is never the end of a sentence.
TITLES = {
    "Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Messrs": "Messieurs", "Prof": "Professor",
    "Gen": "General", "Sen": "Senator", "Rep": "Representative", "Gov": "Governor",
    "Capt": "Captain", "Lt": "Lieutenant", "Col": "Colonel", "Sgt": "Sergeant", "Cpl": "Corporal",
    "Maj": "Major", "Adm": "Admiral", "Cmdr": "Commander", "Rev": "Reverend", "Hon": "Honorable",
    "Pres": "President", "Supt": "Superintendent", "Mt": "Mount", "Ft": "Fort",
    "Pvt": "Private", "Brig": "Brigadier",
    "Amb": "Ambassador", "Insp": "Inspector", "Fr": "Father", "Sra": "Senora", "Sgts": "Sergeants",
    "Det": "Detective", "Ens": "Ensign", "Cdr": "Commander",
}  # fmt: skip
# Said anywhere; the stop is kept when the sentence ends there.
WORDS = {
    "Jr": "Junior", "Sr": "Senior", "Inc": "Incorporated", "Ltd": "Limited", "Corp": "Corporation",
    "Co": "Company", "Bros": "Brothers", "Dept": "Department", "dept": "department",
    "Univ": "University", "Assn": "Association", "Ave": "Avenue", "Blvd": "Boulevard", "Rd": "Road",
    "Ln": "Lane", "Hwy": "Highway", "Pkwy": "Parkway", "Sq": "Square", "Apt": "Apartment",
    "apt": "apartment", "approx": "approximately", "Approx": "Approximately", "est": "established",
    "Est": "Established", "etc": "et cetera", "vs": "versus", "Vs": "Versus", "cf": "compare",
    "viz": "namely", "incl": "including", "excl": "excluding", "max": "maximum", "min": "minimum",
    "avg": "average", "tel": "telephone", "Tel": "Telephone", "Govt": "Government",
    "govt": "government", "misc": "miscellaneous", "temp": "temperature", "assoc": "associate",
    "Assoc": "Associate", "Intl": "International", "ca": "circa", "esp": "especially",
    "Bldg": "Building", "bldg": "building", "Esq": "Esquire", "asst": "assistant",
    "Asst": "Assistant", "mgr": "manager", "Mgr": "Manager", "Mfg": "Manufacturing",
    "mfg": "manufacturing", "attn": "attention", "Attn": "Attention", "Natl": "National",
    "natl": "national", "Dir": "Director", "dir": "director", "hd": "head", "Hosp": "Hospital",
    "Cdn": "Canadian", "Mgmt": "Management", "mgmt": "management", "Pl": "Place", "Ct": "Court",
    "Ctr": "Center", "Ter": "Terrace", "Cir": "Circle", "Expy": "Expressway", "secy": "secretary",
    "treas": "treasurer", "Jct": "Junction", 
    "Rte": "Route", "Hts": "Heights", "Acad": "Academy", "Mfr": "Manufacturer", "orig": "original",
    "pkg": "package", "qty": "quantity", "Qty": "Quantity",
}  # fmt: skip
# Said before a number.
COUNTED = {
    "No": "number", "no": "number", "Nos": "numbers", "nos": "numbers", "Vol": "Volume",
    "vol": "volume", "Fig": "Figure", "fig": "figure", "Figs": "Figures", "figs": "figures",
    "Ch": "Chapter", "ch": "chapter", "Sec": "Section", "sec": "section", "pp": "pages",
    "p": "page", "Pt": "Part", "pt": "part", "Eq": "Equation", "eq": "equation", "ext": "extension",
    "Ext": "Extension", "Art": "Article", "art": "article", "Ste": "Suite", "ste": "suite",
    "Fl": "Floor", "fl": "floor", "Rm": "Room", "rm": "room", "Bk": "Book", "bk": "book",
    "Ep": "Episode", "ep": "episode", "Eqs": "Equations", "eqs": "equations",
    "Secs": "Sections", "secs": "sections", "Vols": "Volumes", "vols": "volumes",
    "Chs": "Chapters", "chs": "chapters", "Apt": "Apartment", "apt": "apartment",
}  # fmt: skip
# Several stops. The letters of the rest (U.S., a.k.a.) are spelled by the next rule.
DOTTED = {
    "e.g.": "for example", "E.g.": "For example", "i.e.": "that is", "I.e.": "That is",
    "et al.": "and others", "a.k.a.": "also known as", "Ph.D.": "P H D", "Ph.Ds": "P H D's",
    "w/o": "without", "w/": "with", "c/o": "care of", "b/c": "because", "and/or": "and or",
    "P.S.": "P S", "n/a": "not applicable", "N/A": "not applicable", "A/C": "A C", "a/c": "A C",
}  # fmt: skip
# Words of their own, which end a sentence more often than they count something.
ALSO_WORDS = words("No no art Art sec Sec p ext Ext fl")
# What an abbreviation says when it ends a sentence before the next one.
ENDING = {"vol": "volume", "fig": "figure", "figs": "figures", "eq": "equation", "ext": "extension"}
ENDING |= {"pt": "point", "ch": "chapter"}
PLAIN = {
    "vs": "versus",
    "Ms": "Miz",
    "Mr": "Mister",
    "Mrs": "Missus",
    "Dr": "Doctor",
    "Prof": "Professor",
}
NOT_A_STREET = words("In At The To From Of Visit Near By On And For With Our My Old New Mount")
LETTERED = words(
    "plan vitamin type grade option class group section team hepatitis exhibit part an a the point "
    "level or block gate room appendix side letter figure table"
)
"""A letter after one of these is a name, not an initial: vitamin A, plan B."""


def _word(match: Match[str]) -> str:
    lettered = re.match(r" [A-HJ-Z]\b", match.string[match.end() : match.end() + 3])  # Bldg. C
    ends = ends_sentence(match) and match[1] != "vs" and not lettered
    return WORDS[match[1]] + ("." if ends else "")


def _counted(match: Match[str]) -> str:
    """No. 5, vol. I; but "No. I won't" and "the vol. I read" end a sentence."""
    if match[2] == "I" and (
        is_pronoun(match.string, match.start(2)) if match[1] not in ALSO_WORDS else not _ends(match)
    ):
        return match[0]
    value = roman_to_int(match[2])
    return match[0] if value is None else f"{COUNTED[match[1]]} {cardinal(value)}"


def _ends(match: Match[str]) -> bool:
    """Whether nothing follows the numeral that a person could do: Art. I, Sec. 8."""
    after = match.string[match.end(2) : match.end(2) + 8]
    comma = after.startswith(",") and match[1] not in ("No", "no")
    alone = not after.strip(" .") and match[1] not in ("No", "no")
    return alone or comma or after[:1] in (";", ":", ")") or after[:4] in (" of ", " and")


def _dotted(match: Match[str]) -> str:
    ends = match.end() == len(match.string) or starts_sentence(match)
    return DOTTED[match[0]] + ("." if ends and match[0].endswith(".") else "")


def _letters(match: Match[str]) -> str:
    """U.S. -> U S; the last stop stays when the sentence ends there."""
    letters = " ".join(match[0].replace(".", "").upper())
    name_follows = match[0][0].isupper() and match.end() < len(match.string)
    ends = starts_sentence(match) or (ends_sentence(match) and not name_follows)
    return letters + ("." if ends else "")


def _street_or_saint(match: Match[str]) -> str:
    """Main St. is a street, St. Paul a saint; a house number settles 12 Main St. Springfield."""
    before, after = match["before"], match.string[match.end() : match.end() + 2]
    ends = starts_sentence(match)
    name_follows = after[:1] == " " and after[1:].isupper() and not ends
    named = bool(before) and before.split()[-1] not in NOT_A_STREET
    numbered = bool(match["house"])
    if named and (numbered or not name_follows):
        stop = "." if ends or not after.strip() else ""
        return f"{match['house'] or ''}{before}Street{stop}"
    return f"{match['house'] or ''}{before or ''}Saint"


def _doctor_or_drive(match: Match[str]) -> str:
    before, after = match["before"], match.string[match.end() : match.end() + 2]
    ends = starts_sentence(match)
    name_follows = after[:1] == " " and after[1:].isupper() and not ends
    stop = "." if ends or not after.strip() else ""
    if before and before.strip() not in NOT_A_STREET and not name_follows:
        return f"{before}Drive{stop}"
    return f"{before or ''}Doctor{'.' if ends else ''}"


def _initial(match: Match[str]) -> str:
    """J. in J. Smith loses its stop; in "plan B. Then" and "so did I. Then" it ends a sentence."""
    before = match.string[max(0, match.start() - 24) : match.start()].split()
    last = before[-1] if before else ""
    ends = last.lower() in LETTERED or (match[1] == "I" and last[-1:].islower())
    ends = ends or (len(last) == 1 and last.isupper())  # P M. is spelled out already
    joined = match.string[match.end() : match.end() + 1] != " "
    return match[0] if ends else match[1] + " " * joined


STREETS = words(
    "Street Road Avenue Lane Drive Square Place Court Way Close Terrace Crescent Gardens Park Row "
    "Boulevard Hill Mews Gate Green Highway Parkway"
)
SHORT_STREETS = {
    "Ave": "Avenue", "Blvd": "Boulevard", "Rd": "Road", "Pkwy": "Parkway", "Hwy": "Highway",
    "St": "Street", "Ln": "Lane", "Sq": "Square",
}  # fmt: skip
SHORT_TITLES = words("Sgt Capt Lt Cpl Pvt Col Gov Maj Cmdr Mt Ft Messrs")
COMPASS = {"N": "North", "S": "South", "E": "East", "W": "West"}
COMPASS |= {a + b: COMPASS[a] + COMPASS[b].lower() for a in "NS" for b in "EW"}
ADDRESS = (
    r"(?P<house>\b\d{1,5} )?(?P<before>\b(?:[A-Z][a-z]{1,20}(?:'s)?|\d{1,3}(?:st|nd|rd|th)) )?\b"
)
COUNTED_RULES = (
    rule(
        "no space after an abbreviation",
        rf"\b({one_of({*TITLES, 'St', 'Dr'})})\.(?=[A-Z][a-z])",
        r"\1. ",
    ),
    rule("counted", rf"\b({one_of(COUNTED)})\. ?(?=\d)", lambda m: f"{COUNTED[m[1]]} "),
    rule("counted in roman", rf"\b({one_of(COUNTED)})\. ?([IVX]+)\b", _counted),
    rule(
        "counted, ends a sentence",
        rf"\b({one_of(ENDING)})\.(?= [A-Z])",
        lambda m: f"{ENDING[m[1]]}.",
    ),
    rule(
        "number without a stop",
        rf"\bNo (?=\d{{1,4}}[A-Za-z]? (?:[A-Z][a-z]+ ){{1,3}}(?:{one_of(STREETS)})\b)"
        r"|(?<=[Tt]he )No (?=\d)|(?<=ranked )No (?=\d)",
        "Number ",
    ),
)
"""This runs before ranges: pp. 5-10."""

RULES = (
    rule("compass before a street",
         rf"\b({one_of(COMPASS)})\.? (?=(?:\d+(?:st|nd|rd|th)|[A-Z][a-z]+)"
         rf"(?: [A-Z][a-z]+)? (?:{one_of({*SHORT_STREETS, *STREETS, 'Dr'})})\b)",
         lambda m: f"{COMPASS[m[1]]} "),
    rule("street without a stop", rf"\b([A-Z][a-z]{{1,20}}(?:'s)? |\d+(?:st|nd|rd|th) )"
         rf"({one_of(SHORT_STREETS)})\b(?![.'])(?! [A-Z][a-z]+ )",
         lambda m: m[1] + SHORT_STREETS[m[2]]),
    rule("drive without a stop", r"(?<=\d )([A-Z][a-z]{1,20}) Dr\b(?= ?(?:[,;!?]|$))", r"\1 Drive"),
    rule("saint without a stop",
         r"(?<![a-z] )\bSt (?=[A-Z][a-z])|(?<=(?:of|in|at|to|by) )St (?=[A-Z][a-z])",
         "Saint "),
    rule("street or saint", rf"{ADDRESS}St\.(?!\w)", _street_or_saint),
    rule("doctor or drive", r"(?P<before>\b[A-Z][a-z]{1,20} )?\bDr\.(?!\w)", _doctor_or_drive),
    rule("form of address", r"\b(Mrs?|Ms|Messrs)\.(?= )", lambda m: TITLES[m[1]]),
    rule("title", rf"\b({one_of(TITLES)})\.(?= ?[A-Z\U000F0000-\U000FFFFD])",
         lambda m: TITLES[m[1]] + "." * starts_sentence(m)),
    rule("title without a stop", rf"\b({one_of(PLAIN)})\b(?!\.)(?= [A-Za-z])",
         lambda m: PLAIN[m[1]]),
    rule("title without a stop, short", rf"\b({one_of(SHORT_TITLES)})\b(?!\.)(?= [A-Z][a-z])",
         lambda m: TITLES[m[1]]),
    rule("fixed abbreviation", rf"(?<![\w.])(?:{one_of(DOTTED)})(?![\w])", _dotted),
    rule("abbreviation", rf"\b({one_of(WORDS)})\.(?!\w)", _word),
    rule("rock 'n' roll", r"(?i)(?<= )'n'?(?= )", "and"),
    rule("dotted letters", r"(?<![\w.])(?:[A-Za-z]\.){2,}(?!\w)", _letters),
    rule("dotted letters, open", r"(?<![\w.])(?:[A-Z]\.)+[A-Z](?![\w.])", _letters),
    rule("initials", r"(?<![\w'])([A-Z])\.(?= ?[A-Z](?:[a-z]|\.))", _initial),
)  # fmt: skip
ABBREVIATIONS = frozenset({*TITLES, *WORDS, *COUNTED, "St", "Dr"})
"""Words whose full stop need not end a sentence."""
