"""Marks of a script: pauses, and who speaks."""

from __future__ import annotations

import pytest

from uslm.text.script import parse_script
from uslm.text.segmentation import Segment
from uslm_tokenizer.errors import TextError


def test_pauses() -> None:
    assert parse_script("Wait. [pause:0.8] Go! [Pause: 2s][pause:.5]") == [
        Segment(text="Wait."),
        Segment(pause_seconds=0.8),
        Segment(text="Go!"),
        Segment(pause_seconds=2.0),
        Segment(pause_seconds=0.5),
    ]
    assert parse_script("no marks [1] here") == [Segment(text="no marks [1] here")]
    assert parse_script("") == []
    assert Segment(pause_seconds=0.0).is_pause


@pytest.mark.parametrize(
    "mark", ["[pause]", "[pause:]", "[pause:x]", "[pause:11]", "[pause:-1]", "[pause:nan]"]
)
def test_wrong_pauses_are_named(mark: str) -> None:
    with pytest.raises(TextError, match=r"a pause must be \[pause:SECONDS\] with 0 to 10 seconds"):
        parse_script(f"Hello {mark} world")


def test_a_script_says_who_speaks() -> None:
    text = "[anna] Well. [pause:1] And? [ bob ][pause:2][laughs loudly] Yes.\n[anna]"
    assert parse_script(text, {"anna", "bob"}) == [
        Segment(text="Well.", voice="anna"),
        Segment(pause_seconds=1.0),
        Segment(text="And?", voice="anna"),
        Segment(pause_seconds=2.0),
        Segment(text="[laughs loudly] Yes.", voice="bob"),
    ]
    with pytest.raises(TextError, match=r"\[carl\]; the voices given: anna, bob"):
        parse_script("[carl] Hm.", ["bob", "anna"])
    with pytest.raises(TextError, match="given: none"):
        parse_script("[carl] Hm.", [])
