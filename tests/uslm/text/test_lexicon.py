"""The user's lexicon: whole words, any case, longest first; errors name file and line."""

# ruff: noqa: RUF001 (phonemes look like other letters)

from __future__ import annotations

import time
from pathlib import Path

import pytest

from uslm.text.frontend import TextFrontend
from uslm.text.lexicon import Lexicon
from uslm_tokenizer.errors import MissingResource, TextError


def replaced(entries: dict[str, str], text: str) -> str:
    return Lexicon(entries).replace(text, lambda phonemes: f"<{phonemes}>")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Use SQL, sql and MySQL.", "Use sequel, sequel and MySQL."),
        ("New York and New York City", "N Y and the city"),
        ("new  york", "N Y"),
        ("C++ or C", "see plus plus or C"),
        ("Nguyen's and Nguyen.", "<wɪnz> and <wɪn>."),
        ("don't", "don't"),
        ("co-don", "co-Donald"),
        ("", ""),
    ],
)
def test_words_are_found(text: str, expected: str) -> None:
    entries = {"SQL": "sequel", "New York": "N Y", "New York City": "the city", "don": "Donald"}
    entries |= {"c++": "see plus plus", "nguyen": "/wɪn/"}
    assert replaced(entries, text) == expected


def test_possessive_sounds() -> None:
    assert replaced({"x": "/bʌs/"}, "x's") == "<bʌsᵻz>"
    assert replaced({"x": "/kæt/"}, "x's") == "<kæts>"


def test_phonemes_reach_the_model() -> None:
    frontend = TextFrontend(lexicon=Lexicon({"Nguyen": "/wˈɪn/", "GIF": "jiff"}))
    result = frontend("Dr. Nguyen, age 5, sent a GIF.")
    assert result.normalized == "Doctor /wˈɪn/, age five, sent a jiff."
    assert result.phonemes == "dˈɑːktɚ wˈɪn, ˈeɪdʒ fˈaɪv, sˈɛnt ɐ dʒˈɪf."


def test_files(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("# names\nNguyen\t/wɪn/\n\nSQL\tsequel\n", encoding="utf-8")
    (tmp_path / "a.json").write_text('{"Nguyen": "/wɪn/", "SQL": "sequel"}', encoding="utf-8")
    for name in ("a.tsv", "a.json"):
        lexicon = Lexicon.load(tmp_path / name)
        assert len(lexicon) == 2
        assert lexicon.replace("SQL", str) == "sequel"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", b"fine\tfine\nno tab here\n", r"a\.tsv:2: a line must be word<TAB>said"),
        ("a.tsv", b"fine\tfine\nword\t \n", r"a\.tsv:2: .*must say something"),
        ("a.tsv", b"fine\tfine\n\xff\tx\n", r"a\.tsv:2: .*UTF-8"),
        ("a.json", b'{"a": "b",\n oops}', r"a\.json:2: not valid JSON"),
        ("a.json", b'{"a": "b",\n "c": 5}', r"a\.json:2: 'c' must be said as a text"),
        ("a.json", b"[1]", r"a\.json:1: .*object"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TextError, match=message):
        Lexicon.load(tmp_path / name)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match=r"no\.tsv"):
        Lexicon.load(tmp_path / "no.tsv")


def test_many_entries_and_a_long_text_take_no_time() -> None:
    lexicon = Lexicon({f"word{number} of": "x" for number in range(2_000)})
    start = time.process_time()
    lexicon.replace("word7 of the word8 " * 2_000, str)
    assert time.process_time() - start < 3
