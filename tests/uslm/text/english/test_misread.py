"""Texts that were read wrong, a row each; and readings that were right and stay so.

misread.tsv: kind, input (a Python literal), right reading, and why it is that one where it was
argued. unseen.tsv: inputs of the same kinds, written before the rules were looked at.
unchanged.tsv: input, reading.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from uslm.text.normalize import normalize

FOLDER = Path(__file__).parent


def rows(name: str) -> list[list[str]]:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines]


MISREAD = [row for name in ("misread.tsv", "unseen.tsv") for row in rows(name)[1:]]
UNCHANGED = rows("unchanged.tsv")


def test_rows_are_many_and_whole() -> None:
    assert len(rows("misread.tsv")) == 1 + 181
    assert len(UNCHANGED) >= 300
    assert all(len(row) == 2 for row in UNCHANGED)
    assert all(len(row) in (3, 4) for row in MISREAD)


@pytest.mark.parametrize("row", MISREAD, ids=[f"{row[0]} {row[1]}" for row in MISREAD])
def test_misread(row: list[str]) -> None:
    spoken = normalize(ast.literal_eval(row[1]))
    assert spoken == row[2]
    assert not any(char.isdigit() for char in spoken)
    assert normalize(spoken) == spoken, "words that are said already change"


@pytest.mark.parametrize(("written", "spoken"), UNCHANGED, ids=[row[0] for row in UNCHANGED])
def test_unchanged(written: str, spoken: str) -> None:
    assert normalize(written) == spoken
