"""What was heard is compared by sounds, not by stress marks."""

# ruff: noqa: RUF001 (phonemes look like other characters)

from __future__ import annotations

import pytest

from uslm.voices.phoneme_error_rate import PHONEMES, phoneme_error_rate


@pytest.mark.parametrize(
    ("wanted", "received", "rate"),
    [
        ("həlˈoʊ wˈɜːld.", "həloʊ wɜld", 0.0),
        ("həlˈoʊ", "həlˈaʊ", 0.2),
        ("kˈæt", "", 1.0),
        ("kˈæt", "kætəz", 2 / 3),
        ("!?", "", 0.0),
        ("", "a", 1.0),
    ],
)
def test_error_rate(wanted: str, received: str, rate: float) -> None:
    ids = PHONEMES.encode
    assert phoneme_error_rate(ids(wanted), ids(received)) == pytest.approx(rate)
