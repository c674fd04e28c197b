"""Line ends: which ones the writer meant, and which ones only wrap a long line."""

from __future__ import annotations

import re

NARROWEST_WRAP = 40
"""Nobody wraps text at fewer characters: a shorter line that ends was meant to end."""

LINE_END = re.compile(r"\r\n?|[\n\v\f\u0085\u2028\u2029]")
_ITEM = re.compile(r"[-*+•‣◦·▪►] |\(?(?:\d{1,3}|[A-Za-z]|[ivx]{2,5})[.)] |#{1,6} |\||```|> ")


def unwrap(text: str) -> str:
    r"""The text with spaces tidied, "\n" only where a line was meant to end, and "\n\n" between
    paragraphs.

    A line was wrapped where the next word had no more room in it; poems, addresses, lists and
    titles end their lines earlier than that.
    """
    if not LINE_END.search(text):
        return " ".join(text.split())
    lines = [" ".join(line.split()) for line in LINE_END.split(text)]
    joined: list[str] = []
    start = 0
    for place, line in enumerate([*lines, ""]):
        if not line:
            joined += [_paragraph(lines[start:place])] if place > start else []
            start = place + 1
    return "\n\n".join(joined)


def starts_item(line: str) -> bool:
    """Whether a line has the mark of a list, a heading, a table or a quotation before it."""
    return bool(_ITEM.match(line))


def _paragraph(lines: list[str]) -> str:
    width = max([NARROWEST_WRAP, *map(len, lines)])
    parts: list[str] = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        parts += [line, " " if _wrapped(line, following, width, len(lines)) else "\n"]
    return "".join(parts).strip()


def _wrapped(line: str, following: str, width: int, count: int) -> bool:
    if not following or starts_item(following) or line.startswith(("#", "|")):
        return False
    fits = len(line) + 1 + len(following.partition(" ")[0]) <= width
    return not fits and (count > 2 or following[0].islower())
