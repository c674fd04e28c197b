"""Segments keep every word, know abbreviations, and stay within their length."""

from __future__ import annotations

import random
import time

import pytest

from uslm.text.segmentation import split_text


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        (
            "Dr. Smith went to Washington, D.C. yesterday. He met Mr. Jones at the big hotel.",
            [
                "Dr. Smith went to Washington, D.C. yesterday.",
                "He met Mr. Jones at the big hotel.",
            ],
        ),
        (
            "It costs 3.5 dollars in the U.S. today, e.g. in Ohio. "
            "That is a lot of money, J. R. Smith said.",
            [
                "It costs 3.5 dollars in the U.S. today, e.g. in Ohio.",
                "That is a lot of money, J. R. Smith said.",
            ],
        ),
        ("Yes. No. Maybe so.", ["Yes. No. Maybe so."]),
        (
            "This is the first long title\n\nAnd this is the text below it",
            ["This is the first long title", "And this is the text below it"],
        ),
        (
            'She asked, "Are you sure of it?" He nodded and went on to work.',
            ['She asked, "Are you sure of it?"', "He nodded and went on to work."],
        ),
        ("wait... what", ["wait... what"]),
        (
            "The end of the first part.\n\n* * *\n\nPart two.",
            ["The end of the first part.", "Part two."],
        ),
        ("* * *", ["* * *"]),
        (
            "1. Open the box with care please. 2. Take out the machine. 3. Switch it on at once.",
            [
                "1. Open the box with care please.",
                "2. Take out the machine.",
                "3. Switch it on at once.",
            ],
        ),
        (
            "You need these things:\n1. A large box of screws\n2. A hammer and some nails",
            [
                "You need these things:\n1. A large box of screws",
                "2. A hammer and some nails",
            ],
        ),
        ("I have 2. Then I left for the whole day.", ["I have 2. Then I left for the whole day."]),
        ("Roses are red\nViolets are blue", ["Roses are red\nViolets are blue"]),
        (
            "This is a line that a program wrapped at\nforty characters.",
            ["This is a line that a program wrapped at forty characters."],
        ),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences(text: str, segments: list[str]) -> None:
    assert split_text(text) == segments


def test_long_sentences_are_cut_at_commas_then_words() -> None:
    text = "one two three four five, six seven eight nine ten eleven twelve thirteen"
    assert split_text(text, 30) == [
        "one two three four five,",
        "six seven eight nine ten",
        "eleven twelve thirteen",
    ]


def test_scripts_without_spaces_are_cut_too() -> None:
    text = "今日はいい天気です。散歩に行きましょう。" * 20
    segments = split_text(text, 60)
    assert "".join(segments).replace(" ", "") == text
    assert max(map(len, segments)) <= 60


@pytest.mark.parametrize("max_chars", [12, 60, 220])
def test_no_word_is_lost_and_no_chunk_is_too_long(max_chars: int) -> None:
    draw = random.Random(max_chars)
    vocabulary = ["Dr.", "the", "3.5", "U.S.", "banana", "etc.", "No.", "“yes”", "—", "(so)", "I."]
    vocabulary += ["word,", "end.", "what?!", "stop...", "St.", "a.m.", "5", "\n\n", "well-known;"]
    for _ in range(200):
        text = " ".join(draw.choices(vocabulary, k=draw.randint(0, 120)))
        segments = split_text(text, max_chars)
        said = [
            [word for word in whole.split() if word != "—"] for whole in (" ".join(segments), text)
        ]
        assert said[0] == said[1]
        assert all(0 < len(segment) <= max_chars for segment in segments)


@pytest.mark.parametrize(
    "unit", ["a", "a ", "a. ", ".", "Dr. ", "\n", "5", ", ", "a.", "。", "[pause:"]
)
def test_time_is_linear(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    start = time.process_time()
    segments = split_text(text)
    assert time.process_time() - start < 5
    assert "".join("".join(segments).split()) == "".join(text.split())


def test_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="max_chars must be at least 1, but is 0"):
        split_text("a", 0)
