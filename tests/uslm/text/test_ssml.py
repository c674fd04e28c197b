"""SSML: what can be followed is, all else is refused by its name, and no mark is read out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uslm.synthesis.plan import PlanConfig, plan_text
from uslm.text.script import parse_script, spoken_text
from uslm.text.segmentation import Segment
from uslm_tokenizer.errors import TextError

HEAD = '<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="en-US">'


def test_text_sentences_and_paragraphs() -> None:
    text = f"""<?xml version="1.0"?>
        {HEAD}<p><s>One</s><s>Two?</s></p><p>Three
        and four</p> Five </speak>"""
    assert parse_script(text) == [
        Segment(text="One.", starts_paragraph=True),
        Segment(text="Two?"),
        Segment(text="Three and four.", starts_paragraph=True),
        Segment(text="Five", starts_paragraph=True),
    ]
    plan = plan_text(text, PlanConfig(sentence_seconds=0.3, paragraph_seconds=0.7))
    assert [segment.pause_seconds for segment in plan[1::2]] == [0.3, 0.7, 0.7]
    assert [segment.text for segment in plan[::2]] == ["One.", "Two?", "Three and four.", "Five"]


@pytest.mark.parametrize(
    ("mark", "seconds"),
    [
        ('time="500ms"', 0.5),
        ('time="1.5s"', 1.5),
        ('time="10s" strength="weak"', 10.0),
        ('strength="none"', 0.0),
        ('strength="x-strong"', 1.2),
        ("", 0.4),
    ],
)
def test_breaks(mark: str, seconds: float) -> None:
    assert parse_script(f"<speak>Wait <break {mark}/> here</speak>") == [
        Segment(text="Wait"),
        Segment(pause_seconds=seconds),
        Segment(text="here"),
    ]


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ('the <sub alias="World Wide Web">WWW</sub>!', "the World Wide Web!"),
        ('<say-as interpret-as="characters">a1 b</say-as>.', "a 1, b."),
        ('<say-as interpret-as="digits">2024</say-as>.', "two zero two four."),
        ('the <say-as interpret-as="ordinal">1,003</say-as>.', "the one thousand third."),
        ('<say-as interpret-as="cardinal">42</say-as>.', "42."),
        ('<say-as interpret-as="date" format="mdy">3/4/2024</say-as>.', "3/4/2024."),
        ("3 &lt; 4 &amp; <!-- a remark -->so on.", "3 < 4 & so on."),
        ("<![CDATA[a < b]]>.", "a < b."),
    ],
)
def test_what_is_said_in_place_of_what_is_written(inside: str, said: str) -> None:
    assert spoken_text(f"{HEAD}{inside}</speak>") == said


@pytest.mark.parametrize(
    ("rate", "speed"),
    [("80%", 0.8), ("+20%", 1.2), ("-25%", 0.75), ("1.5", 1.5), ("slow", 0.75), ("default", 1.0)],
)
def test_rates(rate: str, speed: float) -> None:
    text = f'<speak>So <prosody rate="{rate}">slowly</prosody> it goes.</speak>'
    assert [(each.text, each.speed) for each in parse_script(text)] == [
        ("So", 1.0),
        ("slowly", pytest.approx(speed)),
        ("it goes.", 1.0),
    ]


def test_rates_inside_rates_multiply() -> None:
    outer = '<speak><prosody rate="80%">a <prosody rate="150%">b</prosody></prosody> c</speak>'
    assert [each.speed for each in parse_script(outer)] == pytest.approx([0.8, 1.2, 1.0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<speak>no end", "well-formed XML, but there is: no element found"),
        ("<speak><b>x</b></speak>", "SSML <b> cannot be followed here; what can: speak, p, s"),
        ("<speak><speak>x</speak></speak>", "SSML <speak> cannot be followed here"),
        ('<speak><voice name="x">y</voice></speak>', "SSML <voice> cannot"),
        ('<speak><prosody pitch="+2st">x</prosody></speak>', "<prosody pitch> cannot be followed"),
        ("<speak><prosody>x</prosody></speak>", "<prosody> must have the attribute rate"),
        ('<speak><prosody rate="quick">x</prosody></speak>', "but is 'quick'"),
        ('<speak><prosody rate="900%">x</prosody></speak>', "from 50% to 200% in all, but is 900%"),
        ('<speak><break time="20s"/></speak>', "up to 10s, but is '20s'"),
        ('<speak><break time="-1s"/></speak>', "but is '-1s'"),
        ('<speak><break strength="huge"/></speak>', "but is 'huge'"),
        ("<speak><break>x</break></speak>", "<break> must be empty, but holds 'x'"),
        ("<speak><sub>x</sub></speak>", "<sub> must have the attribute alias"),
        ('<speak><sub alias="y"><p>x</p></sub></speak>', "<sub> must hold text alone"),
        ('<speak><say-as interpret-as="expletive">x</say-as></speak>', "but is 'expletive'"),
        ('<speak><say-as interpret-as="ordinal">x</say-as></speak>', "whole number"),
        ("<!DOCTYPE speak><speak>x</speak>", "without a DOCTYPE"),
        ("<speak>" + "<p>" * 40 + "x" + "</p>" * 40 + "</speak>", "at most 32 deep"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(text: str, words: str) -> None:
    with pytest.raises(TextError) as refused:
        parse_script(text)
    assert words in str(refused.value)


def test_text_about_ssml_is_no_ssml() -> None:
    assert parse_script("The element <speak> comes first.")[0].text.startswith("The element")


PARTS = (
    "<speak>", "</speak>", "<p>", "</p>", "<s>", "</s>", '<break time="1s"/>', "<break/>", "word ",
    '<prosody rate="90%">', "</prosody>", '<sub alias="a">', "</sub>", "&amp;", "&#0;", "<", "]]>",
    '<say-as interpret-as="ordinal">', "</say-as>", "12", "<!-- -->", "<?x?>", "\ud800", "\x00",
    "<!DOCTYPE a [<!ENTITY b 'c'>]>", "&b;",
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=14))
def test_anything_is_parsed_or_refused(parts: list[str]) -> None:
    try:
        segments = parse_script("<speak>" + "".join(parts))
    except TextError:
        return
    assert all(segment.is_pause or "<p>" not in segment.text for segment in segments)
