"""Abbreviations with a full stop, and where that stop also ends the sentence."""

from __future__ import annotations

from re import Match

from uslm.text.english.rule import ends_sentence, one_of, rule, words

# Said before a name; the stop is never the end of a sentence.
TITLES = {
    "Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Messrs": "Messieurs", "Prof": "Professor",
    "Gen": "General", "Sen": "Senator", "Rep": "Representative", "Gov": "Governor",
    "Capt": "Captain", "Lt": "Lieutenant", "Col": "Colonel", "Sgt": "Sergeant", "Cpl": "Corporal",
    "Maj": "Major", "Adm": "Admiral", "Cmdr": "Commander", "Rev": "Reverend", "Hon": "Honorable",
    "Pres": "President", "Supt": "Superintendent", "Mt": "Mount", "Ft": "Fort",
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
}  # fmt: skip
# Said before a number.
COUNTED = {
    "No": "number", "no": "number", "Nos": "numbers", "nos": "numbers", "Vol": "Volume",
    "vol": "volume", "Fig": "Figure", "fig": "figure", "Figs": "Figures", "figs": "figures",
    "Ch": "Chapter", "ch": "chapter", "Sec": "Section", "sec": "section", "pp": "pages",
    "p": "page", "Pt": "Part", "pt": "part", "Eq": "Equation", "eq": "equation", "ext": "extension",
    "Ext": "Extension", "Art": "Article", "art": "article",
}  # fmt: skip
# Several stops. The letters of the rest (U.S., a.k.a.) are spelled by the next rule.
DOTTED = {
    "e.g.": "for example", "E.g.": "For example", "i.e.": "that is", "I.e.": "That is",
    "et al.": "and others", "a.k.a.": "also known as", "Ph.D.": "P H D", "Ph.Ds": "P H D's",
    "w/o": "without", "w/": "with", "c/o": "care of", "b/c": "because", "and/or": "and or",
    "P.S.": "P S",
}  # fmt: skip
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
    return WORDS[match[1]] + ("." if ends_sentence(match) and match[1] != "vs" else "")


def _dotted(match: Match[str]) -> str:
    return DOTTED[match[0]] + ("." if match.end() == len(match.string) and "." in match[0] else "")


def _letters(match: Match[str]) -> str:
    """U.S. -> U S; the last stop stays when the sentence ends there."""
    letters = " ".join(match[0].replace(".", "").upper())
    name_follows = match[0][0].isupper() and match.end() < len(match.string)
    return letters + ("." if ends_sentence(match) and not name_follows else "")


def _street_or_saint(match: Match[str]) -> str:
    """Main St. is a street, St. Paul a saint; a house number settles 12 Main St. Springfield."""
    before, after = match["before"], match.string[match.end() : match.end() + 2]
    name_follows = after[:1] == " " and after[1:].isupper()
    named = bool(before) and before.split()[-1] not in NOT_A_STREET
    numbered = bool(match["house"])
    if named and (numbered or not name_follows):
        return f"{match['house'] or ''}{before}Street" + ("." if not after.strip() else "")
    return f"{match['house'] or ''}{before or ''}Saint"


def _doctor_or_drive(match: Match[str]) -> str:
    before, after = match["before"], match.string[match.end() : match.end() + 2]
    name_follows = after[:1] == " " and after[1:].isupper()
    if before and before.strip() not in NOT_A_STREET and not name_follows:
        return f"{before}Drive" + ("." if not after.strip() else "")
    return f"{before or ''}Doctor"


def _initial(match: Match[str]) -> str:
    """J. in J. Smith loses its stop; in "plan B. Then" and "so did I. Then" it ends a sentence."""
    before = match.string[max(0, match.start() - 24) : match.start()].split()
    last = before[-1] if before else ""
    ends = last.lower() in LETTERED or (match[1] == "I" and last[-1:].islower())
    ends = ends or (len(last) == 1 and last.isupper())  # P M. is spelled out already
    return match[0] if ends else match[1]


ADDRESS = r"(?P<house>\b\d{1,5} )?(?P<before>\b(?:[A-Z][a-z]{1,20}|\d{1,3}(?:st|nd|rd|th)) )?\b"
COUNTED_RULES = (
    rule("counted", rf"\b({one_of(COUNTED)})\. ?(?=\d|[IVX]+\b)", lambda m: f"{COUNTED[m[1]]} "),
)
"""This runs before ranges: pp. 5-10."""

RULES = (
    rule("street or saint", rf"{ADDRESS}St\.(?!\w)", _street_or_saint),
    rule("doctor or drive", r"(?P<before>\b[A-Z][a-z]{1,20} )?\bDr\.(?!\w)", _doctor_or_drive),
    rule("form of address", r"\b(Mrs?|Ms|Messrs)\.(?= )", lambda m: TITLES[m[1]]),
    rule("title", rf"\b({one_of(TITLES)})\.(?= ?[A-Z\U000F0000-\U000FFFFD])",
         lambda m: TITLES[m[1]]),
    rule("title without a stop", rf"\b({one_of(PLAIN)})\b(?!\.)(?= [A-Za-z])",
         lambda m: PLAIN[m[1]]),
    rule("fixed abbreviation", rf"(?<![\w.])(?:{one_of(DOTTED)})(?![\w])", _dotted),
    rule("abbreviation", rf"\b({one_of(WORDS)})\.(?!\w)", _word),
    rule("rock 'n' roll", r"(?i)(?<= )'n'?(?= )", "and"),
    rule("dotted letters", r"(?<![\w.])(?:[A-Za-z]\.){2,}(?!\w)", _letters),
    rule("dotted letters, open", r"(?<![\w.])(?:[A-Z]\.)+[A-Z](?![\w.])", _letters),
    rule("initials", r"(?<![\w'])([A-Z])\.(?= ?[A-Z](?:[a-z]|\.))", _initial),
)  # fmt: skip
ABBREVIATIONS = frozenset({*TITLES, *WORDS, *COUNTED, "St", "Dr"})
"""Words whose full stop need not end a sentence."""
