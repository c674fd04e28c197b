"""Names of places to reach: e-mail and web addresses, hashtags, handles, telephone numbers."""

from __future__ import annotations

import re
from re import Match

from uslm.text.english.numbers import cardinal, digits
from uslm.text.english.rule import one_of, rule

SPOKEN_SIGNS = {
    ".": "dot", "/": "slash", "-": "dash", "_": "underscore", "=": "equals", "&": "and",
    "?": "question mark", "#": "hash", "%": "percent", "~": "tilde", "+": "plus", ":": "colon",
    "@": "at",
}  # fmt: skip
SPELLED_DOMAINS = {"io", "ai", "uk", "us", "eu", "tv", "fm", "de", "fr", "es", "it", "nl", "ch"}
SPELLED_DOMAINS |= {"ca", "jp", "cn", "ru", "au", "nz", "in", "www", "html", "php", "pdf"}
DOMAINS = SPELLED_DOMAINS - {"it", "in", "html", "php", "pdf", "www"}
DOMAINS |= {"com", "org", "net", "edu", "gov", "co", "dev", "app", "info", "biz", "me", "xyz"}
SIGN_OR_WORD = re.compile(r"[A-Za-z]+|\d+|[^A-Za-z\d\s]")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=\d)")


def _spell_address(text: str) -> str:
    words = []
    for part in SIGN_OR_WORD.findall(text):
        if part.lower() in SPELLED_DOMAINS:
            words.append(" ".join(part.upper()))
        else:
            words.append(SPOKEN_SIGNS.get(part, part))
    return " ".join(words)


def _web(match: Match[str]) -> str:
    address = match["address"]
    kept = address.rstrip(".,;:!?)]'\"/")
    tail = address[len(kept) :].replace("/", "")
    return _spell_address(kept) + tail


def _email(match: Match[str]) -> str:
    kept = match[0].rstrip(".-")
    return _spell_address(kept) + match[0][len(kept) :]


def _hashtag(match: Match[str]) -> str:
    return "hashtag " + CAMEL.sub(" ", match[1].replace("_", " "))


def _phone(match: Match[str]) -> str:
    """Digit by digit with a breath between the groups: (555) 123-4567."""
    groups = re.findall(r"\+?\d+|[A-Z]{2,}", match[0])
    if sum(len(group) for group in groups) < 7:
        return match[0]
    said = [
        group.capitalize() if group.isalpha() else ("plus " * (group[0] == "+")) + digits(group)
        for group in groups
    ]
    return ", ".join(said)


def _named_phone(match: Match[str]) -> str:
    """Tel.: 030/123456; the groups are as they are written."""
    groups = re.findall(r"\+?\d+", match[3])
    said = ", ".join("plus " * (group[0] == "+") + digits(group) for group in groups)
    name = {"tel": "telephone", "ph": "phone"}.get(match[1].lower(), match[1])
    name = name.capitalize() if match[1][0].isupper() else name
    return f"{name}{match[2].replace('.', '').replace(' no', ' number')}{said}"


def _spelled_code(code: str) -> str:
    """A1B2C3 -> A one B two C three."""
    parts = re.findall(r"[A-Z]|\d+", code)
    return " ".join(cardinal(part) if part.isdecimal() else part for part in parts)


EMERGENCY = "911|999|112|411|311|101|111|000"

RULES = (
    rule(
        "web address",
        r"(?<![\w@.])(?:(?:https?|ftp)://|(?=www\.))(?P<address>[^\s<>\"]+)",
        _web,
        re.IGNORECASE,
    ),
    rule("e-mail", r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+", _email),
    rule(
        "bare domain",
        rf"(?<![\w@.-])(?P<address>(?:[A-Za-z0-9][A-Za-z0-9-]*\.)+(?:{one_of(DOMAINS)})"
        r"(?:/[^\s<>\"]*)?)(?![\w-]|\.\w)",
        _web,
    ),
    rule("code of letters and digits",
         r"(?<![\w&#])#(?=[A-Z\d]*[A-Z])(?=[A-Z]*\d)([A-Z\d]{3,20})(?!\w)",
         lambda m: f"number {_spelled_code(m[1])}"),
    rule("C sharp", r"\b([CFJ])#(?!\w)", r"\1 sharp"),
    rule("hashtag", r"(?<![\w&#])#([A-Za-z_]\w*)", _hashtag),
    rule("number sign", r"(?<![\w&#])# ?(?=\d)", "number "),
    rule("handle", r"(?<![\w.@])@([A-Za-z_]\w*)", lambda m: "at " + m[1].replace("_", " ").strip()),
    rule("emergency number", rf"(?i)\b(call(?:ed|ing|s)?|dial(?:ed|ing|s)?|ring|rang|phoned?) "
         rf"({EMERGENCY})\b"
         rf"( or ({EMERGENCY})\b)?",
         lambda m: f"{m[1]} {digits(m[2])}" + (f" or {digits(m[4])}" if m[4] else "")),
    rule("emergency call", rf"\b({EMERGENCY})(?= (?:calls?|callers?|dispatch\w*|operators?"
         rf"|emergency|services?)\b)",
         lambda m: digits(m[1])),
    rule("telephone after its name",
         r"(?i)(?<![\w-])(tel|telephone|phone|fax|mobile|cell|ph|whatsapp)"
         r"(\.?:? ?| (?:number|no\.?)(?: is)?:? ?)(\+?\(?\d[\d ()./-]{4,24}\d)(?![\w-])",
         _named_phone),
    rule("telephone with a zero", r"(?<![\w.,-])\(?0\d{1,4}\)?(?:[ -]\d{3,4}){1,2}(?![\w-]|[.,]\d)|"
         r"(?<![\w.,-])\(?0\d{2,4}\)?[ -]\d{6}(?![\w-]|[.,]\d)|(?<![\w.,-])0\d(?:[ .]\d\d){4}"
         r"(?![\w-]|[.,]\d)",
         _phone),
    rule("payment card", r"(?<![\w.-])\d{4}(?:[ -]\d{4}){3}(?![\w-])", _phone),
    rule("telephone, lettered", r"(?<![\w.-])1-\d{3}-[A-Z]{4,8}\b", _phone),
    rule(
        "telephone, national",
        r"(?<![\w.-])(?:\+?\d{1,3}[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-])",
        _phone,
    ),
    rule("telephone, international", r"(?<![\w.-])\+\d{1,3}(?:[ .-]?\(?\d{1,8}\)?){2,6}(?!\w)",
         _phone),
    rule("telephone, local", r"(?<![\w.-])(?:\d{3}-0\d{3}|555-\d{4})(?![\w-])", _phone),
    rule("social security number", r"(?<![\w.-])\d{3}-\d{2}-\d{4}(?![\w-])", _phone),
    rule("hyphened number", r"(?<![\w.-])\d+(?:-\d+){3,}(?![\w-])", _phone),
    rule("postal code", r"\b([A-Z]{2}) (\d{5})(?:-(\d{4}))?(?![\w-])",
         lambda m: f"{m[1]} {digits(m[2])}" + (f", {digits(m[3])}" if m[3] else "")),
)  # fmt: skip
