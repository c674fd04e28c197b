"""Line ends that the writer meant are kept, those that only wrap a line are spaces."""

from __future__ import annotations

import pytest

from uslm.text.lines import unwrap
from uslm.text.normalize import normalize

WRAPPED = (
    "It is a truth universally acknowledged, that a single man in\n"
    "possession of a good fortune, must be in want of a wife. However\n"
    "little known the feelings of such a man may be."
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one  line ", "one line"),
        ("a title\n\n\n\nthe text\n", "a title\n\nthe text"),
        ("Roses are red\r\nViolets are blue", "Roses are red\nViolets are blue"),
        (WRAPPED, WRAPPED.replace("\n", " ")),
        (f"{WRAPPED}\n- an item", WRAPPED.replace("\n", " ") + "\n- an item"),
        ("\n \n", ""),
    ],
)
def test_unwrap(text: str, expected: str) -> None:
    assert unwrap(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Roses are red\nViolets are blue", "Roses are red, Violets are blue"),
        ("Dear Anna\n\nThank you.", "Dear Anna. Thank you."),
        ("Is it?\nIt is.", "Is it? It is."),
        (WRAPPED, WRAPPED.replace("\n", " ")),
        (
            "- Open the box with very much care\n- Take the whole machine out of it",
            "Open the box with very much care. Take the whole machine out of it",
        ),
    ],
)
def test_a_line_end_without_a_stop_is_a_pause(text: str, expected: str) -> None:
    assert normalize(text) == expected


def test_only_the_english_are_given_pauses() -> None:
    assert normalize("Eins\nzwei", "de") == "Eins zwei"
