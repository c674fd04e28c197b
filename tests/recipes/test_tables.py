"""Texts reach a corpus whole and with their recording, or are told: none is cut or guessed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from uslm_recipes.data.recording import Found, Recording, Rejected
from uslm_recipes.data.sources.registry import open_source

RATE = 16_000
MARK = "\ufeff"


def sound(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.3 * np.sin(np.arange(RATE // 2) * 0.05), RATE)
    return path


def read(place: Path, name: str | None = None) -> tuple[list[Recording], list[Rejected]]:
    found: list[Found] = list(open_source(str(place), name=name))
    return (
        [each for each in found if isinstance(each, Recording)],
        [each for each in found if isinstance(each, Rejected)],
    )


def speech(root: Path, table: str | bytes, names: str = "abc") -> Path:
    """A folder with a metadata.csv."""
    for name in names:
        sound(root / "wavs" / f"{name}.wav")
    data = table.encode() if isinstance(table, str) else table
    (root / "metadata.csv").write_bytes(data)
    return root


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_at_the_beginning_is_no_letter(tmp_path: Path, encoding: str, ending: str) -> None:
    table = f"a|Grüße, Welt.{ending}b|Zwei.{ending}".encode(encoding)
    good, bad = read(speech(tmp_path, table, "ab"))
    assert [each.text for each in good] == ["Grüße, Welt.", "Zwei."] and not bad


def test_a_mark_in_every_other_layout(tmp_path: Path) -> None:
    sound(tmp_path / "cv/de/clips/x.mp3")
    (tmp_path / "cv/de/validated.tsv").write_text(
        f"{MARK}client_id\tpath\tsentence\nc\tx.mp3\tJa\n"
    )
    chapter = tmp_path / "LibriSpeech/dev-clean/84/1"
    sound(chapter / "84-1-0000.flac")
    (chapter / "84-1.trans.txt").write_text(f"{MARK}84-1-0000 YES\n")
    sound(tmp_path / "vctk/wav48/p1/p1_1.wav")
    (tmp_path / "vctk/txt/p1").mkdir(parents=True)
    (tmp_path / "vctk/txt/p1/p1_1.txt").write_text(f"{MARK}Ask her.")
    sound(tmp_path / "m/a.wav")
    line = json.dumps({"audio": "a.wav", "speaker": "s", "text": "Hi"})
    (tmp_path / "m/m.jsonl").write_text(f"{MARK}{line}\n{MARK}{line}\n")
    sound(tmp_path / "plain/a.wav")
    (tmp_path / "plain/a.txt").write_text(f"{MARK}Good.")
    places = ("cv", "LibriSpeech", "vctk", "m/m.jsonl", "plain")
    texts = [[each.text for each in read(tmp_path / place)[0]] for place in places]
    assert texts == [["Ja"], ["YES"], ["Ask her."], ["Hi", "Hi"], ["Good."]]


def test_what_is_no_utf_8_is_told_and_the_rest_is_taken(tmp_path: Path) -> None:
    latin = "Café".encode("cp1252")
    good, bad = read(speech(tmp_path / "table", b"a|Yes\nb|" + latin + b"\nc|No\n"))
    assert [each.text for each in good] == ["Yes", "No"]
    [line] = bad
    assert (line.where, line.audio) == ("table/metadata.csv:2", "b")
    assert "not UTF-8: byte 6 is 0xE9" in line.reason

    sound(tmp_path / "files/a.wav")
    (tmp_path / "files/a.txt").write_bytes(latin)
    chapter = tmp_path / "LibriSpeech/dev-clean/84/1"
    for number in (0, 1):
        sound(chapter / f"84-1-000{number}.flac")
    (chapter / "84-1.trans.txt").write_bytes(b"84-1-0000 " + latin + b"\n84-1-0001 YES")
    sound(tmp_path / "vctk/wav48/p1/p1_1.wav")
    (tmp_path / "vctk/txt/p1").mkdir(parents=True)
    (tmp_path / "vctk/txt/p1/p1_1.txt").write_bytes(latin)
    (tmp_path / "cv/clips").mkdir(parents=True)
    (tmp_path / "cv/test.tsv").write_bytes(b"client_id\tpath\tsentence\nc\tx.mp3\t" + latin)
    for place, texts in {"files": [], "LibriSpeech": ["YES"], "vctk": [], "cv": []}.items():
        good, bad = read(tmp_path / place)
        assert [each.text for each in good] == texts, place
        assert len(bad) == 1 and "is not UTF-8" in bad[0].reason, place


def test_utf_16_without_its_mark_is_told(tmp_path: Path) -> None:
    good, bad = read(speech(tmp_path, "a|Yes\n".encode("utf-16-le"), ""))
    assert not good and "NUL" in bad[0].reason


@pytest.mark.parametrize(
    ("table", "texts", "speakers"),
    [
        # The third column says the text once more, or who speaks.
        ("a|I have 5.|I have five.\nb|Yes!|Yes!", ["I have five.", "Yes!"], ["", ""]),
        ("a|Hello there.|anna\nb|Good night.|ben\nc|Yes.|anna",
         ["Hello there.", "Good night.", "Yes."], ["/anna", "/ben", "/anna"]),
        ("a|5|five\nb|6|six", ["five", "six"], ["", ""]),
        # A `|` in the only text is part of it.
        ("a|Yes\nb|Either | or.\nc|No", ["Yes", "Either|or.", "No"], ["", "", ""]),
        ("audio_file|text|speaker_name\na|Anna|ben\nb|To be|or not|anna",
         ["Anna", "To be|or not"], ["/ben", "/anna"]),
        ("speaker|path|language|text\nann|a|de|Ja.", ["Ja."], ["/ann"]),
        # Only the end of a line ends it.
        ("a|One\u2028two\x0bthree\x85four\nb|No", ["One two three four", "No"], ["", ""]),
    ],
)  # fmt: skip
def test_columns_are_told_apart(
    tmp_path: Path, table: str, texts: list[str], speakers: list[str]
) -> None:
    good, _ = read(speech(tmp_path / "x", table))
    assert [each.text for each in good] == texts
    assert [each.speaker for each in good] == [f"x{speaker}" for speaker in speakers]


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (
            "a|Good morning.|Why not; said he.\nb|No.|Never, ever: it rains.",
            "cannot be told",
        ),
        ("a|anna|EN|Good morning.\nb|ben|EN|Yes.", "cannot be told"),
        ("a|x y|x y\nb|one|two|one|two", "5 columns"),
        ("a|Good day.|anna\nb|No.|ben\nc|Who?", "2 columns"),
        ("a\nb|", "is not 'name|text'"),
    ],
)
def test_columns_that_cannot_be_told_are_not_guessed(
    tmp_path: Path, table: str, reason: str
) -> None:
    _, bad = read(speech(tmp_path, table, ""))
    assert any(reason in each.reason for each in bad), bad


def test_a_tab_in_a_sentence_is_told(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    rows = "client_id\tpath\tsentence\nc\tx.mp3\tOne\ttwo\n"
    (tmp_path / "validated.tsv").write_text(rows)
    _, bad = read(tmp_path)
    assert "4 columns" in bad[0].reason


def test_blank_lines_of_a_chapter_mean_nothing(tmp_path: Path) -> None:
    chapter = tmp_path / "LibriSpeech/dev-clean/84/1"
    sound(chapter / "84-1-0000.flac")
    (chapter / "84-1.trans.txt").write_text("\n84-1-0000 YES\n  \n")
    good, bad = read(tmp_path / "LibriSpeech")
    assert [each.text for each in good] == ["YES"] and not bad


def test_names_lead_to_their_files(tmp_path: Path) -> None:
    elsewhere = sound(tmp_path / "elsewhere/ben/b.wav")
    upper = sound(tmp_path / "x/wavs/C.wav").rename(tmp_path / "x/wavs/C.WAV")
    names = ["sub\\a.wav", str(elsewhere), "../elsewhere/ben/b.wav", "C", "gone", "n" * 5000]
    sound(tmp_path / "x/sub/a.wav")
    good, bad = read(speech(tmp_path / "x", "".join(f"{name}|Yes.\n" for name in names), ""))
    files = [os.path.realpath(each.audio) for each in good]
    assert files == [os.path.realpath(tmp_path / "x/sub/a.wav"), *[str(elsewhere)] * 2, str(upper)]
    assert [each.speaker for each in good] == ["x/sub", "x/ben", "x/ben", "x"]
    assert good[1].id == good[2].id and [each.where[-1] for each in bad] == ["5", "6"]

    line = {"audio": "sub\\a.wav", "speaker": "s"}
    (tmp_path / "x/m.jsonl").write_text(json.dumps(line))
    assert read(tmp_path / "x/m.jsonl")[0][0].audio == tmp_path / "x/sub/a.wav"


def test_texts_are_found_whatever_their_case(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav").rename(tmp_path / "a.WAV")
    (tmp_path / "a.TXT").write_text("Yes.")
    assert [each.text for each in read(tmp_path)[0]] == ["Yes."]


def test_files_that_cannot_be_read_are_listed_too(tmp_path: Path) -> None:
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    sound(tmp_path / "b.wav")
    (tmp_path / "b.txt").symlink_to(tmp_path / "nowhere.txt")
    good, bad = read(tmp_path)
    assert [each.audio.name for each in good] == ["a.m4a", "gone.wav"]
    assert [each.reason for each in bad] == ["text file cannot be read: it is a link to nowhere"]


def test_a_table_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    sound(tmp_path / "wavs/a.wav")
    (tmp_path / "metadata.csv").symlink_to(tmp_path / "nowhere.csv")
    good, bad = read(tmp_path, "folder")
    assert not good and ["file cannot be read" in each.reason for each in bad] == [True, False]


def test_linked_folders_are_entered_once(tmp_path: Path) -> None:
    sound(tmp_path / "far/anna/a.wav")
    (tmp_path / "here").mkdir()
    (tmp_path / "here/ben").symlink_to(tmp_path / "far/anna")
    (tmp_path / "far/anna/again").symlink_to(tmp_path / "here")
    good, bad = read(tmp_path / "here")
    assert [(each.id, each.speaker) for each in good] == [("here/ben/a", "here/ben")] and not bad


def test_a_table_speaks_for_its_own_folder_only(tmp_path: Path) -> None:
    speech(tmp_path / "anna", "a|Yes.", "ab")
    sound(tmp_path / "ben/c.wav")
    (tmp_path / "ben/c.txt").write_text("No.")
    good, bad = read(tmp_path)
    assert [(each.audio.stem, each.text) for each in good] == [("a", "Yes."), ("c", "No.")]
    assert [Path(each.audio).stem for each in bad] == ["b"] and "not named" in bad[0].reason
