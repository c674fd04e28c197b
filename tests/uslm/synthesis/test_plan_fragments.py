"""A text that comes in fragments is cut as the whole would be, and early."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uslm.synthesis.plan import PlanConfig, plan_text
from uslm.synthesis.plan_fragments import TextFragments, Waiting, plan_fragments
from uslm_tokenizer.errors import TextError

CONFIG = PlanConfig()
TEXTS = (
    "This one is the first of all. Here is the second one too. [pause:0.5] And a third.",
    "Hi. No. Yes, it is so! Mr. Smith went to Washington, D.C. yesterday. It cost 3.5 dollars. "
    "So. That was it, and nothing else was said about it.",
    "A paragraph here, with a few words.\n\nAnother one; it is longer, and so on.\n\n\n[pause:2] "
    "[pause:1]Third. *** The fourth is the last of them, is it not?   ",
    "word " * 120 + ". And then a short one. Then another sentence that can stand alone.",
    "Good morning to you. And so it goes" + " on" * 20 + ", " + "for ever and " * 14 + "ever.",
    "One line only",
    '<speak>Here is <break time="1s"/> a mark. And <prosody rate="80%">slow</prosody>.</speak>',
)
SCRIPT = "Narrated at first, in one voice. [anna] Who is it that knocks? [ben] It is me. Me."


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(TEXTS), st.lists(st.integers(1, 30), min_size=1, max_size=8))
def test_segments_are_those_of_the_whole_text(text: str, lengths: list[int]) -> None:
    planned = [
        each
        for each in plan_fragments(cut(text, lengths), CONFIG)
        if not isinstance(each, Waiting)  # of an empty fragment
    ]
    assert planned == plan_text(text, CONFIG)


@pytest.mark.parametrize("length", [1, 4, 9, 200])
def test_voices_go_on_over_fragments(length: int) -> None:
    voices = ("anna", "ben")
    planned = list(plan_fragments(cut(SCRIPT, [length]), CONFIG, voices))
    assert planned == plan_text(SCRIPT, CONFIG, voices)


def test_a_segment_comes_when_its_successor_has_begun() -> None:
    read = 0

    def fragments() -> Iterator[str]:
        nonlocal read
        for word in TEXTS[0].split():
            read += 1
            yield f"{word} "

    plan = plan_fragments(fragments(), CONFIG)
    assert next(plan).text == "This one is the first of all."
    assert read <= 7 + 6  # its words, and 24 characters more
    assert next(plan).pause_seconds == CONFIG.sentence_seconds
    assert next(plan).text == "Here is the second one too."


def test_what_came_is_remembered() -> None:
    fragments = TextFragments(iter(["One ", "two."]))
    assert list(fragments) == ["One ", "two."] and fragments.text == "One two."


@pytest.mark.parametrize("fragments", [[], [""], ["  ", "\n"], ["[pause:1]"]])
def test_nothing_to_say_is_refused(fragments: list[str]) -> None:
    with pytest.raises(TextError, match="must have something to say"):
        list(plan_fragments(fragments, CONFIG))


def test_a_fragment_that_is_no_text_is_named() -> None:
    with pytest.raises(TextError, match="there is int"):
        list(TextFragments(iter(["a", 1])))  # type: ignore[arg-type]


def cut(text: str, lengths: list[int]) -> Iterator[str]:
    start = 0
    while start < len(text):
        for length in lengths:
            yield text[start : start + length]
            start += length
