"""Scores: notes one after the other, a syllable for each, and words put together of syllables."""

from __future__ import annotations

import pytest

from uslm.text.score import Note, Score, split_lyrics
from uslm_tokenizer.errors import ConfigError, UserError


def melody(count: int = 4) -> Score:
    return Score(
        tuple(Note(start_seconds=0.5 * i, seconds=0.5, number=60.0 + i) for i in range(count))
    )


def test_a_note_knows_its_frequency_and_name() -> None:
    a, c = (Note(start_seconds=1.25, seconds=1.0, number=n) for n in (69.0, 60.0))
    assert a.hertz == 440 and round(c.hertz, 2) == 261.63
    assert str(a) == "A4 at 1.25 s" and str(c) == "C4 at 1.25 s"


def test_lyrics_are_syllables_of_words() -> None:
    words = melody(5).with_lyrics("Glo-_-ria sing _").words()
    assert [word.text for word in words] == ["Gloria", "sing"]
    assert [[len(notes) for notes in word.syllables] for word in words] == [[2, 1], [2]]


def test_lyrics_take_the_notes_in_order() -> None:
    sung = melody(3).with_lyrics("one two-three")
    assert [n.syllable for n in sung.notes] == ["one", "two", "three"]
    assert [n.joined for n in sung.notes] == [False, True, False]
    assert sung.lyrics == "one twothree" and sung.seconds == 1.5


@pytest.mark.parametrize(
    ("lyrics", "message"),
    [
        ("one two", "2 syllables .* but the score has 4 notes"),
        ("a b c d e", "5 syllables"),
        (" ", "no words"),
        ("_ a b c", "begin with a syllable"),
    ],
)
def test_lyrics_that_do_not_fit_are_refused(lyrics: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        melody().with_lyrics(lyrics)


def test_bad_scores_are_refused() -> None:
    with pytest.raises(UserError, match="holds no notes"):
        Score(())
    first, second = melody(2).notes
    with pytest.raises(UserError, match=r"C#4 at 0\.50 s and C4 at 0\.00 s .* overlap"):
        Score((second, first))
    long = Note(start_seconds=0.0, seconds=0.51, number=60.0)
    with pytest.raises(UserError, match="overlap"):
        Score((long, second))
    assert Score((Note(start_seconds=0.0, seconds=0.5005, number=60.0), second))
    with pytest.raises(UserError, match="nothing to sing to its first note"):
        melody().words()
    with pytest.raises(ConfigError, match="last longer than 0 s"):
        Note(start_seconds=0.0, seconds=0.0, number=60.0)


def test_a_score_moves_up_and_down() -> None:
    assert [n.number for n in melody(2).transposed(-12.0).notes] == [48, 49]
    with pytest.raises(UserError, match=r"C4 at 0\.00 s cannot be moved by 68"):
        melody().transposed(68.0)


def test_syllables_are_split_at_hyphens_only() -> None:
    assert list(split_lyrics("don't_")) == [("don't", False), ("", False)]
