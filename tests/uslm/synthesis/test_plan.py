"""A text is cut into segments with rests between them, and no word is lost."""

from __future__ import annotations

import pytest

from uslm.synthesis.plan import PlanConfig, plan_text
from uslm_tokenizer.errors import TextError

CONFIG = PlanConfig(
    max_chars=60,
    sentence_seconds=0.3,
    clause_seconds=0.1,
    word_seconds=0.0,
    paragraph_seconds=0.7,
)
LONG = (
    "A long sentence, that goes on and on for much more than sixty characters. "
    'Then he said: "Is this the end of it, or only the beginning?"\n\n'
    "Another paragraph without any mark that might help to cut it into segments begins here"
)


def test_no_word_is_lost() -> None:
    segments = plan_text(LONG, CONFIG)
    words = " ".join(segment.text for segment in segments if not segment.is_pause).split()
    assert words == LONG.split()
    assert all(len(segment.text) <= 60 for segment in segments)


def test_rests_follow_punctuation() -> None:
    segments = plan_text(LONG, CONFIG)
    texts, rests = segments[::2], segments[1::2]
    assert not any(segment.is_pause for segment in texts)
    for segment, rest in zip(texts, rests, strict=False):
        wanted = {",": 0.1, ".": 0.3, '"': 0.7}.get(segment.text[-1], 0.0)
        assert rest.pause_seconds == wanted, segment.text


def test_a_pause_of_the_user_takes_the_place_of_the_rest() -> None:
    segments = plan_text("The first of two sentences. [pause:1.5] The second of two.", CONFIG)
    assert [segment.pause_seconds for segment in segments] == [0, 1.5, 0]


@pytest.mark.parametrize("text", ["", "  \n ", "[pause:1]"])
def test_nothing_to_say_is_refused(text: str) -> None:
    with pytest.raises(TextError, match="something to say"):
        plan_text(text, CONFIG)


@pytest.mark.parametrize("text", ["[pause:99]", "Hello [pause: there.", "[pause:-1] hello"])
def test_a_wrong_pause_is_refused(text: str) -> None:
    with pytest.raises(TextError, match="pause"):
        plan_text(text, CONFIG)


def test_a_line_end_without_a_stop_is_a_rest() -> None:
    segments = plan_text("The first line of a poem\nThe second line of a poem", CONFIG)
    assert [segment.text for segment in segments] == [
        "The first line of a poem",
        "",
        "The second line of a poem",
    ]
    assert segments[1].pause_seconds == CONFIG.sentence_seconds
