"""Subtitles can be read: short cues that end where sentences do, in the formats' own words."""

from __future__ import annotations

import re
from itertools import pairwise

from uslm.output.speech import SegmentReport, Word
from uslm.output.subtitles import CUE_CHARS, CUE_SECONDS, make_cues, to_srt, to_vtt


def segment(
    text: str, start: float = 0.0, *, each: float = 0.4, known: bool = True
) -> SegmentReport:
    """A segment whose words follow each other, a tenth of a second apart."""
    words = tuple(
        Word(text=word, start_seconds=start + i * each, end_seconds=start + (i + 1) * each - 0.1)
        for i, word in enumerate(text.split())
    )
    return SegmentReport(
        index=0, text=text, phonemes="", start_seconds=start, end_seconds=start + each * len(words),
        seed=0, words=words if known else (),
    )  # fmt: skip


def test_srt() -> None:
    assert to_srt([segment("Hello there."), segment("Bye --> bye.", 3599.9)]) == (
        "1\n00:00:00,000 --> 00:00:00,700\nHello there.\n\n"
        "2\n00:59:59,900 --> 01:00:01,000\nBye → bye.\n"
    )


def test_vtt_times_each_word() -> None:
    assert to_vtt([segment("Hello <b>you & me.", 1.0)]) == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\n"
        "Hello <00:00:01.400>&lt;b&gt;you <00:00:01.800>&amp; <00:00:02.200>me.\n"
    )


def test_no_speech_no_cues() -> None:
    assert (to_srt([]), to_vtt([])) == ("", "WEBVTT\n")


def test_a_sentence_ends_a_cue() -> None:
    cues = make_cues([segment('One two. "Three!" Four? Five, six')])
    assert [cue.text for cue in cues] == ["One two.", '"Three!"', "Four?", "Five, six"]


def test_a_pause_ends_a_cue() -> None:
    before, after = segment("one two"), segment("three", 2.0)
    assert before.words and after.words
    joined = SegmentReport(
        index=0, text="", phonemes="", start_seconds=0.0, end_seconds=3.0, seed=0,
        words=before.words + after.words,
    )  # fmt: skip
    assert [cue.text for cue in make_cues([joined])] == ["one two", "three"]


def test_long_sentences_become_short_cues() -> None:
    words = "word another something longer " * 20
    for each in (0.1, 1.5):
        cues = make_cues([segment(words, each=each)])
        assert " ".join(cue.text for cue in cues).split() == words.split()
        assert all(len(cue.text) <= CUE_CHARS for cue in cues)
        assert all(cue.end_seconds - cue.start_seconds <= CUE_SECONDS for cue in cues)
        assert all(a.end_seconds <= b.start_seconds for a, b in pairwise(cues))


def test_a_cue_has_two_lines_of_about_one_length() -> None:
    text = "this sentence is longer than a single line of subtitles may be"
    [block] = to_srt([segment(text, each=0.1)]).split("\n\n")
    _, span, *lines = block.strip().split("\n")
    assert re.fullmatch(r"[\d:,]{12} --> [\d:,]{12}", span)
    assert len(lines) == 2 and " ".join(lines) == text
    assert abs(len(lines[0]) - len(lines[1])) < 12


def test_a_segment_without_times_stands_whole() -> None:
    [cue] = make_cues([segment("These words\nhave no times.", 5.0, known=False)])
    assert (cue.text, cue.start_seconds) == ("These words have no times.", 5.0)
    silent = SegmentReport(
        index=0,
        text="?",
        phonemes="",
        start_seconds=0.0,
        end_seconds=0.0,
        seed=0,
        stop_reason="silent",
    )
    assert make_cues([silent]) == []
