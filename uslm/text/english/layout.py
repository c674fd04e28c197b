"""Mark-up that lays text out (HTML, SSML, Markdown, line ends) -> plain text with pauses."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

from __future__ import annotations

import html
import re
from re import Match

from uslm.text.english.numbers import digits
from uslm.text.english.rule import Rule, rule
from uslm.text.lines import LINE_END, unwrap

BLOCKS = "address article aside blockquote br caption dd div dl dt figcaption figure footer form h1"
BLOCKS += " h2 h3 h4 h5 h6 header hr li main nav ol p par s section table td th tr ul"
LINE_TAGS = frozenset(BLOCKS.split())
SILENT_TAGS = "script|style|head|template"
SPELLED_OUT = "digits|characters|spell-out|verbatim|telephone"
SHORT_ITEM = 30
"""Items of a list up to this length follow each other after commas, longer ones after stops."""

# One attribute; where a tag has some, at least one must have a value, or "a <b and c> d" is text.
VALUE = r"\"[^\"<>]{0,2000}\"|'[^'<>]{0,2000}'|[^\s\"'<>=]{1,2000}"
ATTRIBUTES = rf"(?=[^<>]{{0,2000}}=)(?:\s+[A-Za-z@:][\w:.@-]*(?:\s*=\s*(?:{VALUE}))?)+"
TAG = re.compile(rf"</?(?P<name>[A-Za-z][\w:.-]{{0,40}})(?P<attributes>{ATTRIBUTES})?\s*/?>")
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
HEADING = re.compile(r"#{1,6} (.*?)(?: #+)?$")
TABLE_RULE = re.compile(
    r"\|? ?:?-{2,}:? ?(?:\| ?:?-+:? ?)*\|?$|([-*_=])(?: ?\1){2,}$|`{3,}\w*$"
    r"|~{3,}$"
)
ITEM = re.compile(
    r"(?:[-*+•‣◦·▪►] |(\(?(?:\d{1,3}|[A-Za-z])[.)] ))(?:\[[ xX]\] )?|(?:> ?)+(?![ "
    r"\d])"
)
ENDS_WITH_STOP = re.compile(r"[.!?:;,…—。！？][\"'”’)\]*_]{0,4}$")

LINKS: tuple[Rule, ...] = (
    rule("picture or link", r"!?\[([^\[\]\n]{0,300})\]\((?:[^()\s]|\([^()\s]*\)){0,500}"
         r"(?: \"[^\"\n]{0,200}\")?\)", r"\1"),
    rule("link by reference", r"\[([^\[\]\n]{1,300})\]\[[^\[\]\n]{0,80}\]", r"\1"),
    rule("footnote mark", r"\[\^[^\[\]\s]{1,40}\]:?", ""),
    rule("address in angles", r"<((?:https?://|mailto:)[^<>\s]{1,500})>", r" \1 "),
)  # fmt: skip
MARKUP: tuple[Rule, ...] = (
    rule("comment", r"<!--(?:(?!-->).){0,5000}-->|<[!?][A-Za-z][^<>]{0,500}>|<!\[CDATA\[|\]\]>",
         " ",
         re.DOTALL),
    rule("silent part", rf"<({SILENT_TAGS})(?: [^<>]{{0,500}})?>[^<]{{0,5000}}</\1>", " ",
         re.IGNORECASE),
    rule("say as", rf"<say-as [^<>]{{0,200}}interpret-as=[\"'](?:{SPELLED_OUT})[\"'][^<>]{{0,200}}>"
         r"([^<>]{0,200})</say-as>", lambda m: f" {spelled_out(m[1])} "),
    rule("alias", r"<sub [^<>]{0,200}alias=[\"']([^\"'<>]{1,200})"
         r"[\"'][^<>]{0,200}>[^<>]{0,200}</sub>",
         r" \1 "),
    rule("silence", r"<(?:break|pause)(?: [^<>]{0,200})?/?>", ", "),
    rule("raised", r"(?<=\w)<sup>([^<>]{1,20})</sup>", lambda m: _raised(m[1])),
    rule("lowered", r"(?<=\w)<sub>([^<>]{1,20})</sub>", r"\1"),
    Rule("tag", TAG, lambda m: _tag(m)),
)  # fmt: skip


def lay_out(text: str) -> str:
    """Plain text on one line; runs before spaces are tidied, for line ends say something."""
    if "<" in text:
        for markup in MARKUP:
            text = markup(text)
    if "[" in text or "<" in text:
        for link in LINKS:
            text = link(text)
    if "&" in text:
        text = ENTITY.sub(lambda match: html.unescape(match[0]), text)
    return _lines(text)


def spelled_out(text: str) -> str:
    """Letter by letter, digit by digit."""
    return ", ".join(digits(part) if part.isdecimal() else " ".join(part) for part in text.split())


def _raised(text: str) -> str:
    return text if text in ("st", "nd", "rd", "th") else f"^{text}"


def _tag(match: Match[str]) -> str:
    attributes = match["attributes"]
    if attributes and "=" not in attributes:
        return match[0]
    return "\n" if match["name"].lower() in LINE_TAGS else " "


def _lines(text: str) -> str:
    """Headings and paragraphs end with a stop, short items and cells with a comma."""
    if not LINE_END.search(text) and not re.match(
        r"\s*(?:#{1,6} |(?:[-*+]|\d{1,3}[.)]) \[[ xX]\]"
        r"|\|)",
        text,
    ):
        return text
    said = ""
    for paragraph in unwrap(text).split("\n\n"):
        for number, line in enumerate(paragraph.split("\n")):
            if TABLE_RULE.fullmatch(line):
                continue
            line, is_heading = _line(line)
            if not line:
                continue
            if said:
                said += _joint(said, line, first=number == 0)
            said += line + ("." if is_heading and not ENDS_WITH_STOP.search(line) else "")
    return said


def _line(line: str) -> tuple[str, bool]:
    heading = HEADING.fullmatch(line)
    if heading:
        return heading[1], True
    if line.startswith("|") and line.endswith("|"):
        return ", ".join(cell.strip() for cell in line.split("|") if cell.strip()), False
    return ITEM.sub(lambda match: match[1] or "", line, count=1) if ITEM.match(
        line
    ) else line, False


def _joint(said: str, line: str, first: bool) -> str:
    if ENDS_WITH_STOP.search(said[-6:]):
        return " "
    short = len(line) <= SHORT_ITEM or len(said) <= SHORT_ITEM or ", " in said[-SHORT_ITEM:]
    return ", " if short and not first else ". "
