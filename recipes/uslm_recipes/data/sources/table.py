"""Tables of recordings and texts with `|` between the columns, as LJSpeech's metadata.csv.

name|text                     the text is all after the first `|`
name|text|normalised text     the last is what is said
name|text|speaker             told from the one above by what the column holds
audio_file|text|speaker_name  a first line of names says it best, in any order
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from uslm_recipes.data.text_files import read_lines

COLUMNS = {
    "file": ("file", "filename", "file_name", "audio", "audio_file", "path", "wav", "id", "name"),
    "text": ("text", "sentence", "transcript", "transcription"),
    "normalized": ("normalized", "normalised", "normalized_text", "normalised_text",
                   "text_normalized", "normalized_transcription"),
    "speaker": ("speaker", "speaker_name", "speaker_id"),
    "language": ("language", "lang"),
}  # fmt: skip
ONE_TEXT = ("file", "text")
BOTH_TEXTS = ("file", "text", "normalized")
ENOUGH_ROWS = 200  # to tell what the third column holds
MAX_NAME = 40


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line: a recording and what is said in it."""

    number: int
    """The line, counted from 1."""
    file: str = ""
    text: str = ""
    speaker: str = ""
    language: str = ""
    problem: str | None = None
    """Why the line cannot be used, if so."""


def read_rows(table: Path) -> Iterator[Row]:
    """Every line that is not blank; what cannot be told is a problem, never a guess."""
    lines = [line for line in read_lines(table) if line.text.strip() or line.problem]
    cells = [[cell.strip() for cell in line.text.split("|")] for line in lines]
    columns = _named(cells[0]) if cells else None
    first = 0 if columns is None else 1
    if columns is None:
        columns = _told([row for row, line in zip(cells, lines, strict=True) if not line.problem])
    for row, line in zip(cells[first:], lines[first:], strict=True):
        if line.problem is not None:
            yield Row(number=line.number, file=row[0], problem=line.problem)
        else:
            yield _row(line.number, row, columns)


def _row(number: int, cells: list[str], columns: Sequence[str]) -> Row:
    if len(cells) < 2 or not cells[0]:
        return Row(number=number, problem="line is not 'name|text'")
    columns = _of_line(cells, columns)
    cells = _joined(cells, columns)
    problem = None
    if len(cells) != len(columns):
        problem = f"line has {len(cells)} columns, where the table has {len(columns)}"
    elif "unknown" in columns:
        problem = (
            "what the columns hold cannot be told; a first line of names says it, "
            "as file|text|normalized|speaker"
        )
    if problem is not None:
        return Row(number=number, file=cells[0], problem=problem)
    found = dict(zip(columns, cells, strict=True))
    text = found.pop("normalized", "") or found.pop("text", "")
    found.pop("text", None)
    return Row(number=number, text=text, **found)


def _of_line(cells: list[str], columns: Sequence[str]) -> Sequence[str]:
    """Of LJSpeech's lines some hold both texts; other tables have the same columns in each."""
    if columns not in (ONE_TEXT, BOTH_TEXTS):
        return columns
    if len(cells) == 2:
        return ONE_TEXT
    return BOTH_TEXTS if len(cells) == 3 and _alike(cells[1], cells[2]) else columns


def _joined(cells: list[str], columns: Sequence[str]) -> list[str]:
    """Columns joined: where the only text of a table has a `|` in it, its parts belong together."""
    extra = len(cells) - len(columns)
    if extra < 1 or "text" not in columns or "normalized" in columns:
        return cells
    first = columns.index("text")
    return [*cells[:first], "|".join(cells[first : first + extra + 1]), *cells[first + extra + 1 :]]


def _named(cells: Sequence[str]) -> tuple[str, ...] | None:
    """Columns by a first line of names; None if it is a line like the others."""
    ours = {theirs: name for name, names in COLUMNS.items() for theirs in names}
    names = tuple(ours.get(cell.lower(), "") for cell in cells)
    is_header = "file" in names and {"text", "normalized"} & set(names)
    return names if is_header and all(names) and len(set(names)) == len(names) else None


def _told(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Columns of a table without names."""
    counts = [len(row) for row in rows if len(row) > 1]
    most = max(set(counts), key=lambda count: (counts.count(count), -count), default=2)
    if most < 3:
        return ONE_TEXT
    thirds = [(row[1], row[2]) for row in rows if len(row) == 3][:ENOUGH_ROWS]
    alike = sum(_alike(text, third) for text, third in thirds)
    if most == 3 and 2 * alike >= len(thirds):
        return BOTH_TEXTS
    if most == 3 and all(_is_name(third) for _, third in thirds):
        return ("file", "text", "speaker")
    return ("file", "text", "unknown")


def _alike(text: str, third: str) -> bool:
    """Whether the second is the first as it is read."""
    if not third or not re.search(r"[^\W\d_]", text):
        return True
    return SequenceMatcher(None, text.lower(), third.lower(), autojunk=False).ratio() > 0.5


def _is_name(third: str) -> bool:
    return len(third) <= MAX_NAME and not re.search(r"[.?!,;:]", third)
