"""English is read out as written in english_golden.tsv; other languages pass; time stays linear."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from uslm.text.clean import clean
from uslm.text.english.numbers import cardinal, fraction, ordinal, roman_to_int, to_roman, year
from uslm.text.normalize import normalize
from uslm_tokenizer.errors import TextError

GOLDEN = [
    line.split("\t")
    for line in (Path(__file__).parent / "english_golden.tsv")
    .read_text(encoding="utf-8")
    .splitlines()
]


def test_golden_cases_are_many() -> None:
    assert len(GOLDEN) >= 170
    assert all(len(pair) == 2 for pair in GOLDEN)


@pytest.mark.parametrize(("written", "spoken"), GOLDEN, ids=[pair[0] for pair in GOLDEN])
def test_golden(written: str, spoken: str) -> None:
    assert normalize(written) == spoken


@pytest.mark.parametrize("spoken", sorted({pair[1] for pair in GOLDEN}))
def test_spoken_text_has_no_digits_and_stays_as_it_is(spoken: str) -> None:
    assert not any(char.isdigit() for char in spoken)
    assert normalize(spoken) == spoken


@pytest.mark.parametrize(
    "text",
    [
        "Es kostet 3,50 € am 5. Mai, Dr. Müller.",
        "Il coûte 3,50 € le 5 mai à 15h30.",
        "¿Cuánto cuesta? ¡5 €!",
        "日本語 123",
    ],
)
def test_other_languages_pass_untouched(text: str) -> None:
    assert normalize(text, "de") == text
    assert normalize(f"  {text}\n\x07 ", "fr-fr") == text


def test_plain_english_passes_untouched() -> None:
    text = "It's late, I know; but don't you think we should wait? No! Well-known facts: none."
    assert normalize(text) == text


@pytest.mark.parametrize("number", [0, 7, 13, 20, 42, 100, 115, 999, 1000, 70_021, 10**6, 10**12])
def test_cardinals_by_their_parts(number: int) -> None:
    """Adding up the words gives the number back."""
    values = {cardinal(small): small for small in range(20)}
    values |= {cardinal(tens): tens for tens in range(20, 100, 10)}
    total = group = 0
    for word in cardinal(number).replace("-", " ").split():
        if word == "hundred":
            group *= 100
        elif word in values:
            group += values[word]
        else:
            scale = {"thousand": 10**3, "million": 10**6, "trillion": 10**12}[word]
            total, group = total + group * scale, 0
    assert total + group == number


def test_number_helpers() -> None:
    assert [ordinal(n) for n in (1, 12, 40, 101)] == [
        "first",
        "twelfth",
        "fortieth",
        "one hundred first",
    ]
    assert year("1800") == "eighteen hundred"
    assert fraction("1", "3") == "one third"
    assert cardinal("9" * 60).split() == ["nine"] * 60
    assert all(roman_to_int(to_roman(number)) == number for number in range(1, 4000, 7))
    assert roman_to_int("IIX") is None


@pytest.mark.parametrize(
    "unit",
    ["a", "1", "1,", "1 ", "Aa. ", "A", "A.", "$1 ", "1/", "1-", "a@", "http://a.", "(", "!",
     "\u0301", "-", "12:34:", "'", "I ", "no. 5 ", "St. ", "=", ". ", "1.",
     "x ", "&", "#", "😀", "$", " ", "<a ", "[a](", "&amp;", "a\n", "| a |\n", "1 000 ", "1h",
     "/a", "a.b ", "IV ", "aaa ", "5 ft ", "~/", "May-", "中", "Ж"],
)  # fmt: skip
def test_time_is_linear(unit: str) -> None:
    """Four times the text takes about four times as long, whatever is repeated."""
    seconds = []
    for length in (4_000, 16_000):
        text = (unit * length)[:length]
        start = time.process_time()
        normalize(text)
        seconds.append(time.process_time() - start)
    assert seconds[1] < max(10 * seconds[0], 0.5)


@pytest.mark.parametrize("char", ["a", "1", "A", ".", "-", "\u0301"])
def test_a_megabyte_of_one_character(char: str) -> None:
    start = time.process_time()
    normalize(char * 1_000_000)
    assert time.process_time() - start < 5


def test_lone_surrogate_is_named() -> None:
    with pytest.raises(TextError, match=r"character 4 is the lone surrogate U\+D83D"):
        normalize("abc\ud83d")


def test_clean_names_what_it_takes_out() -> None:
    cleaned = clean("a\x00b\u200bc\td\r\n e\x1b")
    assert cleaned.text == "abc d e"
    assert cleaned.dropped == ("U+0000 control character", "U+001B control character")
