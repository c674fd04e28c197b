"""Contractions and possessives in capitals: IT'S -> it's, DON'T -> don't, O'BRIEN -> O'Brien."""

from __future__ import annotations

from re import Match

from uslm.text.english.rule import one_of, rule, words

PRONOUNS = words(
    "I YOU HE SHE IT WE THEY THAT THIS THERE HERE WHO WHAT WHERE WHEN WHY HOW LET EVERYONE SOMEONE "
    "ANYONE NOBODY EVERYBODY SOMEBODY ONE THESE THOSE NO"
)
NEGATED = words(
    "DO CA WO IS ARE WAS WERE HAVE HAS HAD WOULD COULD SHOULD DID DOES MUST NEED AI SHA MIGHT MAY "
    "DARE OUGHT"
)
HELPERS = words("WOULD COULD SHOULD MIGHT MUST WHO YOU THEY WE I")
FIXED = ("MA'AM", "O'CLOCK", "Y'ALL", "'TIS", "'TWAS", "C'MON", "D'YOU", "NE'ER", "E'ER", "G'DAY",
         "'CAUSE", "'EM", "S'POSE", "HALLOWE'EN", "O'ER", "ROCK'N'ROLL")  # fmt: skip


def _contraction(match: Match[str]) -> str:
    """I keeps its capital; the rest is in small letters, for DON is no initialism in DON'T."""
    return "I" + match[0][1:].lower() if match[0].startswith("I'") else match[0].lower()


RULES = (
    rule("fixed contraction", rf"(?<![\w'])(?:{one_of(FIXED)})(?!\w)", _contraction),
    rule("negation", rf"(?<![\w'])(?:{one_of(NEGATED)})N'T(?:'VE)?(?!\w)|(?<![\w'])CAN'T(?!\w)",
         _contraction),
    rule("pronoun and verb", rf"(?<![\w'])(?:{one_of(PRONOUNS | HELPERS)})'(?:S|RE|LL|VE|D|M)"
         r"(?![\w'])", _contraction),
    rule("two contractions", rf"(?<![\w'])(?:{one_of(PRONOUNS | HELPERS)})'(?:LL|D)'VE(?!\w)",
         _contraction),
    rule("noun and verb", r"(?<![\w'])([A-Z]{2,30})'(LL|RE|VE|D)(?![\w'])",
         lambda m: f"{m[1].lower()}'{m[2].lower()}"),
    rule("possessive", r"(?<![\w'])([A-Z]{2,30})'S(?!\w)", r"\1's"),
    rule("Irish name", r"(?<![\w'])O'([A-Z])([A-Z]+)(?!\w)", lambda m: f"O'{m[1]}{m[2].lower()}"),
)  # fmt: skip
