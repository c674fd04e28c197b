"""Spellings of chats and comics: gr8, c u l8r, Noooo!, Shh, lol."""

from __future__ import annotations

import re
from collections.abc import Callable
from re import Match

from uslm.text.english.rule import one_of, rule, words

# Each of these is nothing else, wherever it stands.
CHAT = {
    "gr8": "great", "m8": "mate", "b4": "before", "l8r": "later", "l8": "late", "h8": "hate",
    "w8": "wait", "str8": "straight", "2day": "today", "2nite": "tonight", "2moro": "tomorrow",
    "2morrow": "tomorrow", "4ever": "forever", "4u": "for you", "2u": "to you", "sk8": "skate",
    "any1": "anyone", "some1": "someone", "every1": "everyone", "no1": "no one", "pls": "please",
    "plz": "please", "thx": "thanks", "ppl": "people", "tmrw": "tomorrow", "cuz": "because",
    "bc": "because", "ur": "your", "cya": "see ya", "rly": "really", "srsly": "seriously",
}  # fmt: skip
# These are letters or numbers unless the words beside are written like that too.
BESIDE_CHAT = {"u": "you", "r": "are", "c": "see", "y": "why", "n": "and", "2": "to", "4": "for"}
BESIDE_CHAT["ur"] = "your"
NEEDS_COMPANY = {"bc", "no1", "ur", "m8", "w8"}
ALONE = {word: said for word, said in CHAT.items() if word not in NEEDS_COMPANY}
U_VERBS = words(
    "go are r can will want know think have need should could do did see get like love say said "
    "mean were guys too ok okay there all up"
)
# Sounds, in the spelling that the voice reads best.
SOUNDS = (
    (r"[Ss]h{2,}", "shush"), (r"[Mm]m{2,}", "hmm"), (r"[Hh]m{2,}", "hmm"), (r"[Pp]s{2,}t", "psst"),
    (r"[Mm]{2,}-hmm?", "hmm-hmm"), (r"[Bb]r{2,}", "burr"), (r"[Gg]r{3,}", "gur"),
    (r"[Aa]+h{2,}", "ah"), (r"[Oo]+h{2,}", "oh"), (r"[Aa]{2,}h", "ah"), (r"[Oo]{3,}h+", "ooh"),
    (r"[Uu]g+h{2,}", "ugh"), (r"[Ee]+w{2,}", "ew"), (r"[Aa]+r+g+h{2,}", "argh"),
    (r"[Pp]f{2,}t?", "puff"),
)  # fmt: skip
# Words that keep two letters when a drawn-out one is cut.
DOUBLED = words(
    "good cool see too food mood look book feel need sleep sweet week free tree three been keep "
    "deep all well will hell tell call ball fall full kill still small tall yell bell kiss miss "
    "boss less pass mess off stuff add egg zoo boo woo moo room soon moon noon school pool fool "
    "wee bee yippee agree green queen hello really bye-bye happy pretty funny sorry silly yummy "
    "ooh shoot hoot loop poop soothe whoop woohoo boohoo yahoo coffee"
)
DRAWN = re.compile(r"([A-Za-z])\1{2,}", re.IGNORECASE)
# Letters thrice in a row that are no drawling: XXX, III, AAA, www.
NOT_DRAWN = re.compile(r"[IVXLCDM]+|[wW]+|(.)\1*|\w*(?i:iii)\w*")


def _chat(match: Match[str]) -> str:
    said = CHAT[match[0].lower()]
    if match[0][1:].isdecimal() and match[0][0].isupper():
        return match[0]  # Gate B4
    return said.capitalize() if match[0][0].isupper() else said


def _beside(match: Match[str]) -> str:
    """u, c and the like, if one of the next words is chat too, or a verb follows u."""
    text = match.string
    before = text[max(0, match.start() - 24) : match.start()].lower()
    after = text[match.end() : match.end() + 24].lower()
    near = set(re.findall(r"[a-z\d]+", before)[-2:]) | set(re.findall(r"[a-z\d]+", after)[:2])
    letter = match[0]
    chatting = bool(near & (ALONE.keys() | {"u", "ur", "r", "lol"}))
    following = re.match(r" ([a-z]+)", after)
    addressed = letter == "u" and bool(following and following[1] in U_VERBS)
    asked = letter in ("u", "ur") and bool(
        re.search(
            r"\b(?:love|miss|thank|see|with|for|to|tell|are|do"
            r"|can) $",
            before,
        )
    )
    if letter.isdecimal() and not chatting:
        return letter
    return BESIDE_CHAT[letter] if chatting or addressed or asked else letter


def _drawn(match: Match[str]) -> str:
    """Sooooo -> So, Goooood -> Good; shouting too."""
    word = match[0]
    if NOT_DRAWN.fullmatch(word) or (word.isupper() and not re.search(r"(.)\1{3}", word)):
        return word  # III, IEEE
    double, single = DRAWN.sub(r"\1\1", word), DRAWN.sub(r"\1", word)
    return double if double.lower() in DOUBLED else single


def _sound(said: str) -> Callable[[Match[str]], str]:
    return lambda match: said.capitalize() if match[0][0].isupper() else said


LETTERS = r"(?<![\w'./@#&+-])({})(?![\w'/@&+-]|\.\w)"
RULES = (
    *(rule(f"sound {said}", rf"(?<![\w'-]){pattern}(?![\w'-])", _sound(said))
      for pattern, said in SOUNDS),
    rule("you are", r"(?<![\w'./@#&+-])ur(?= (?:gr8|so|the|an?|not|welcome|late|right|wrong|my|such"
         r"|going)\b)",
         "you're"),
    rule("letters beside chat", LETTERS.format("[urcyn24]|ur"), _beside),
    rule("chat", LETTERS.format(f"(?i:{one_of(ALONE)})"), _chat),
    rule("mate", r"(?<=(?:[a-z,]) )[mM]8(?![\w'/@&+-]|\.\w)", "mate"),
    rule("wait", r"(?<![\w'./@#&+-])w8(?![\w'/@&+-]|\.\w)", "wait"),
    rule("drawn out", r"(?<![\w'./@#&-])(?=[A-Za-z]{0,30}([A-Za-z])(?i:\1\1))[A-Za-z]{4,60}"
         r"(?![\w'/@&-]|\.\w)",
         _drawn),
)  # fmt: skip
