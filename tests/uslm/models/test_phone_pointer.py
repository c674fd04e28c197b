"""The pointer of VALL-E R: whatever a decoder says, nothing is left out or said again."""

from __future__ import annotations

from itertools import groupby

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from uslm.models.phone_pointer import PhonePointer, timed_from
from uslm_tokenizer.errors import UserError

STRESS = 47
TEXTS = st.lists(st.sampled_from([3, 9, STRESS]), min_size=1, max_size=9)
MOVES = st.lists(st.floats(0, 1), min_size=60, max_size=60)


def say(pointer: PhonePointer, moves: list[float]) -> list[int]:
    """Places of the frames that are said before the end may come; a decoder of random logits, that
    would end at once."""
    said: list[int] = []
    for move in moves:
        pointer.move([[1 - move, move]], [True], 1.0)
        logits = torch.zeros(1, 4)
        logits[0, -1] = 9.0
        pointer.close(logits)
        if int(logits.argmax()) == 3:
            break
        said.append(pointer.spoken[0])
    return said


@settings(max_examples=60)
@given(text=TEXTS, moves=MOVES)
def test_every_symbol_that_takes_time_is_said_once_and_in_order(
    text: list[int], moves: list[float]
) -> None:
    pointer = PhonePointer([len(text)], [text], {STRESS})
    said = say(pointer, [*moves, *[1.0] * 20])
    assert [place for place, _ in groupby(said)] == [
        place for place, symbol in enumerate(text) if symbol != STRESS
    ]


@given(text=TEXTS)
def test_places_that_take_time(text: list[int]) -> None:
    for place, found in enumerate(timed_from(text, {STRESS})):
        between = text[place:found]
        assert found >= place and all(symbol == STRESS for symbol in between)
        assert found == len(text) or text[found] != STRESS


def test_a_symbol_lasts_as_long_as_the_moves_say() -> None:
    """Moves of .25 make it four frames, where the sum is to reach 1."""
    said = say(PhonePointer([3]), [0.25] * 40)
    assert said == [0] * 4 + [1] * 4 + [2] * 4


def test_it_is_where_the_track_says_and_ends_with_it() -> None:
    track = [0, 0, 0, 1, 3, 3]
    pointer = PhonePointer([4])
    pointer.follow(0, track)
    said = []
    for _ in range(7):
        pointer.move([[0.0, 1.0]], [True], 1.0)
        logits = torch.zeros(1, 4)
        logits[0, 1] = 9.0
        pointer.close(logits)
        said.append(int(logits.argmax()))
    assert said == [1] * 6 + [3]  # it must end then, though a unit is likelier


@pytest.mark.parametrize(
    ("track", "message"),
    [
        ([], "never go back"),
        ([0, 2, 1], "never go back, but is"),
        ([0, 4], "within the 4 symbols of its text, but goes from 0 to 4"),
        ([-1, 2], "goes from -1 to 2"),
    ],
)
def test_tracks_that_do_not_fit_are_named(track: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        PhonePointer([4]).follow(0, track)
