"""Text files of corpora as people leave them: UTF-8, or UTF-16 that says so.

What is neither is told and never guessed: a wrong guess is a text that nobody said.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uslm_tokenizer.errors import TextError

# The longer mark first: that of UTF-16 is the beginning of the other.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True)
class Line:
    """One line of a table."""

    number: int
    """Counted from 1."""
    text: str
    """Without its end; a replacement character stands for what cannot be read."""
    problem: str | None
    """Why it cannot be used as it is, if so."""


def read_text(path: Path) -> str:
    """The whole file. Raises TextError where it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as problem:
        reason = "it is a link to nowhere" if path.is_symlink() else problem.strerror
        raise TextError(f"cannot be read: {reason}") from problem
    return decode_text(data)


def decode_text(data: bytes) -> str:
    """The text of a file's bytes. Raises TextError where they are none."""
    return _decoded(data, _encoding(data))


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a file, one at a time; one with a problem where it cannot be read at all."""
    try:
        with path.open("rb") as file:
            is_utf8 = _encoding(file.read(4)) == "utf-8"
            file.seek(0)
            if is_utf8:
                segments = (each for line in file for each in _split(line))
                yield from (_line(number, each) for number, each in enumerate(segments, start=1))
                return
        for number, each in enumerate(_split(read_text(path).encode()), start=1):
            yield _line(number, each)
    except (OSError, TextError) as problem:
        text = problem if isinstance(problem, TextError) else f"cannot be read: {problem.strerror}"
        yield Line(1, "", f"file {text}")


def load_json(text: str) -> dict[str, Any]:
    """A JSON object. Raises TextError where it is something else."""
    try:
        data = json.loads(text)
        if "\\ud" in text.lower():  # half of a character, which no file can hold
            json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as problem:  # ValueError: a number of 5,000 digits, too
        raise TextError(f"is not JSON: {problem}") from problem
    if not isinstance(data, dict):
        raise TextError("is not a JSON object")
    return data


def _line(number: int, data: bytes) -> Line:
    try:
        return Line(number, _decoded(data, "utf-8"), None)
    except TextError as problem:
        return Line(number, data.decode("utf-8-sig", errors="replace"), f"line {problem}")


def _split(lines: bytes) -> list[bytes]:
    """At the ends of lines only: str.splitlines also cuts at U+2028 and at form feeds."""
    return lines.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removesuffix(b"\n").split(b"\n")


def _encoding(head: bytes) -> str:
    return next((name for mark, name in MARKS.items() if head.startswith(mark)), "utf-8")


def _decoded(data: bytes, encoding: str) -> str:
    try:
        text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as problem:
        raise TextError(
            f"is not {encoding.upper()}: byte {problem.start + 1} is 0x{data[problem.start]:02X}; "
            "convert it, as by iconv -f cp1252 -t utf-8"
        ) from None
    if "\0" in text:
        raise TextError("holds NUL bytes: UTF-16 has to begin with its mark")
    return text
