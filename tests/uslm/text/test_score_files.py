"""Scores from MIDI and MusicXML: times, tempo changes, ties, lyrics; and files that do not do."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import mido
import pytest

from uslm.text.score_files import read_score
from uslm_tokenizer.errors import EnvironmentProblem, MissingResource, UserError


def save_midi(path: Path, messages: Sequence[mido.Message | mido.MetaMessage]) -> Path:
    """Times of the messages are in ticks, 480 a quarter note."""
    track = mido.MidiTrack(messages)
    mido.MidiFile(tracks=[track], ticks_per_beat=480).save(path)
    return path


def note(kind: str, number: int, time: int = 0, velocity: int = 64) -> mido.Message:
    return mido.Message(kind, note=number, time=time, velocity=velocity)


def lyric(text: str, time: int = 0) -> mido.MetaMessage:
    return mido.MetaMessage("lyrics", text=text, time=time)


def test_midi_gives_times_heights_and_lyrics(tmp_path: Path) -> None:
    path = save_midi(
        tmp_path / "song.mid",
        [
            mido.MetaMessage("set_tempo", tempo=500_000),  # a quarter note of 0.5 s
            lyric("Twin-"), note("note_on", 60), note("note_off", 60, 480),
            lyric("kle "), note("note_on", 64), note("note_on", 64, 480, velocity=0),
            mido.MetaMessage("set_tempo", tempo=1_000_000),
            lyric("star", 480), note("note_on", 67), note("note_off", 67, 240),
        ],
    )  # fmt: skip
    score = read_score(path)
    assert [n.start_seconds for n in score.notes] == pytest.approx([0, 0.5, 2])
    assert [n.seconds for n in score.notes] == pytest.approx([0.5] * 3)
    assert [n.number for n in score.notes] == [60, 64, 67]
    assert [word.text for word in score.words()] == ["Twinkle", "star"]


XML = """<?xml version="1.0"?>
<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" "partwise.dtd">
<score-partwise><part-list/><part id="P1">
<measure><attributes><divisions>2</divisions></attributes>
<direction><sound tempo="60"/></direction>
<note><pitch><step>A</step><octave>4</octave></pitch><duration>2</duration>
<lyric><syllabic>begin</syllabic><text>Glo</text></lyric></note>
<note><pitch><step>B</step><alter>-1</alter><octave>4</octave></pitch><duration>1</duration>
<tie type="start"/><lyric><syllabic>end</syllabic><text>ria</text></lyric></note></measure>
<measure><note><pitch><step>B</step><alter>-1</alter><octave>4</octave></pitch>
<duration>1</duration><tie type="stop"/></note>
<note><rest/><duration>2</duration></note>
<sound tempo="120"/>
<note><pitch><step>C</step><octave>5</octave></pitch><duration>2</duration>
<lyric><text>sing</text></lyric></note></measure>
</part></score-partwise>"""


def test_musicxml_gives_the_same_plain_and_compressed(tmp_path: Path) -> None:
    plain = tmp_path / "song.musicxml"
    plain.write_text(XML, "utf-8")
    score = read_score(plain)
    assert [(n.start_seconds, n.seconds, n.number) for n in score.notes] == [
        (0, 1, 69), (1, 1, 70), (3, 0.5, 72),
    ]  # fmt: skip
    assert [word.text for word in score.words()] == ["Gloria", "sing"]
    with zipfile.ZipFile(tmp_path / "song.mxl", "w") as packed:
        packed.writestr(
            "META-INF/container.xml",
            '<container><rootfiles><rootfile full-path="s.xml"/></rootfiles></container>',
        )
        packed.writestr("s.xml", XML)
    assert read_score(tmp_path / "song.mxl") == score


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<score-partwise>", "<score-partwise", "cannot be read as MusicXML"),
        ("score-partwise>", "score-timewise>", "must be a score-partwise"),
        ("</part>", '</part><part id="P2"/>', "has 2 parts"),
        ("<rest/>", "<grace/><rest/>", "holds grace notes"),
        ("<rest/>", "<chord/><pitch><step>C</step><octave>4</octave></pitch>", "overlap"),
        ("<!DOCTYPE", '<!ENTITY a "b"><!DOCTYPE', "defines entities"),
        ("<step>A</step>", "<step>H</step>", "cannot be read as MusicXML"),
        ("<octave>5</octave>", "<octave/>", "cannot be read as MusicXML"),
        ("<divisions>2", "<divisions>0", "cannot be read as MusicXML"),
    ],
)
def test_musicxml_that_cannot_be_sung_is_refused(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    assert old in XML
    path = tmp_path / "song.xml"
    path.write_text(XML.replace(old, new), "utf-8")
    with pytest.raises(UserError, match=message):
        read_score(path)


def test_midi_that_cannot_be_sung_is_refused(tmp_path: Path) -> None:
    empty = save_midi(tmp_path / "empty.mid", [lyric("la")])
    with pytest.raises(UserError, match="holds no notes"):
        read_score(empty)
    endless = save_midi(tmp_path / "endless.mid", [note("note_on", 60)])
    with pytest.raises(UserError, match="never ends"):
        read_score(endless)
    chord = [note("note_on", 60), note("note_on", 64), note("note_off", 60, 9)]
    both = save_midi(tmp_path / "chord.mid", [*chord, note("note_off", 64)])
    with pytest.raises(UserError, match=r"C4 at 0\.00 s and E4 at 0\.00 s of the score overlap"):
        read_score(both)
    (tmp_path / "broken.mid").write_bytes(b"MThd, or so it says")
    keyed = save_midi(tmp_path / "keyed.mid", [mido.MetaMessage("key_signature", key="C")])
    keyed.write_bytes(keyed.read_bytes().replace(b"\xff\x59\x02\x00", b"\xff\x59\x02\x63"))
    for name in ("broken.mid", "keyed.mid"):
        with pytest.raises(UserError, match="cannot be read as MIDI"):
            read_score(tmp_path / name)


def test_other_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingResource, match="no score at"):
        read_score(tmp_path / "none.mid")
    other = tmp_path / "song.txt"
    other.write_text("la la", "utf-8")
    with pytest.raises(UserError, match=r"a score must be a file named \.mid"):
        read_score(other)
    song = save_midi(tmp_path / "song.mid", [note("note_on", 60), note("note_off", 60, 9)])
    monkeypatch.setitem(sys.modules, "mido", None)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'uslm\[score\]'"):
        read_score(song)
