"""Scores from files: MIDI (by mido, `uslm[score]`) and MusicXML, plain or compressed."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from uslm.text.score import TOLERANCE_SECONDS, Note, Score
from uslm_tokenizer.errors import EnvironmentProblem, MissingResource, UserError

MIDI_SUFFIXES, XML_SUFFIXES = (".mid", ".midi"), (".musicxml", ".xml", ".mxl")
MAX_BYTES = 16 * 1024 * 1024
"""A larger file is no song."""
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
UNREADABLE = (OSError, EOFError, ValueError, ArithmeticError, LookupError)
"""Errors that a broken file of MIDI raises."""
DEFAULT_TEMPO = 120.0
"""Quarter notes per minute where a score does not say, as in MIDI."""


def read_score(path: str | PathLike[str]) -> Score:
    """The score of a file. UserError where it cannot be read, or holds no melody of one voice."""
    place = Path(path)
    if not place.is_file():
        raise MissingResource(f"there is no score at {place}")
    if place.stat().st_size > MAX_BYTES:
        raise UserError(f"{place} is larger than {MAX_BYTES >> 20} MiB; that is no song")
    suffix = place.suffix.lower()
    if suffix in MIDI_SUFFIXES:
        return Score(tuple(_midi_notes(place)))
    if suffix in XML_SUFFIXES:
        return Score(tuple(_xml_score(place)))
    raise UserError(
        f"a score must be a file named {', '.join(MIDI_SUFFIXES + XML_SUFFIXES)}, but is {place}"
    )


def _midi_notes(path: Path) -> list[Note]:
    """Notes in the order of their beginnings; a lyric belongs to the note that begins with it."""
    try:
        import mido
    except ImportError as problem:
        raise EnvironmentProblem("MIDI needs mido: pip install 'uslm[score]'") from problem
    try:
        messages = list(mido.MidiFile(path))
    except (*UNREADABLE, mido.KeySignatureError) as problem:
        raise UserError(f"{path} cannot be read as MIDI: {problem}") from problem
    now, notes = 0.0, list[Note]()
    sounding: dict[tuple[int, int], float] = {}
    lyrics: dict[int, str] = {}
    for message in messages:
        now += message.time
        if message.type == "lyrics":
            lyrics[_milliseconds(now)] = message.text
        elif message.type in ("note_on", "note_off"):
            key = (message.channel, message.note)
            begun = sounding.pop(key, None)
            if begun is not None and now > begun:
                notes.append(_sounded(begun, now, message.note))
            if message.type == "note_on" and message.velocity:
                sounding[key] = now
    if sounding:
        raise UserError(f"{path} holds a note that never ends")
    notes.sort(key=lambda note: (note.start_seconds, note.number))
    return [_with_lyric(note, lyrics.get(_milliseconds(note.start_seconds), "")) for note in notes]


def _sounded(begun: float, now: float, number: int) -> Note:
    return Note(start_seconds=begun, seconds=now - begun, number=float(number))


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)


def _with_lyric(note: Note, lyric: str) -> Note:
    """MIDI writes a - after a syllable whose word goes on."""
    said = lyric.strip()
    return replace(note, syllable=said.strip("-_"), joined=said.endswith("-"))


def _xml_score(path: Path) -> list[Note]:
    try:
        data = _unpacked(path) if path.suffix.lower() == ".mxl" else path.read_bytes()
        if b"<!ENTITY" in data:
            raise UserError(f"{path} defines entities, which no score needs")
        return _xml_notes(ElementTree.fromstring(data), path)
    except UserError:
        raise
    except (ElementTree.ParseError, zipfile.BadZipFile, ArithmeticError, LookupError) as problem:
        raise UserError(f"{path} cannot be read as MusicXML: {problem!r}") from problem
    except ValueError as problem:
        raise UserError(f"{path} cannot be read as MusicXML: {problem}") from problem


def _unpacked(path: Path) -> bytes:
    """The score of a compressed file, which its container names."""
    with zipfile.ZipFile(path) as packed:
        container = ElementTree.fromstring(packed.read("META-INF/container.xml"))
        names = [each.get("full-path") for each in container.iter() if _is(each, "rootfile")]
        if not names or names[0] is None:
            raise UserError(f"{path} names no score in its container")
        if packed.getinfo(names[0]).file_size > MAX_BYTES:
            raise UserError(f"the score in {path} is larger than {MAX_BYTES >> 20} MiB")
        return packed.read(names[0])


def _is(element: Element, name: str) -> bool:
    return element.tag.rpartition("}")[2] == name


def _xml_notes(root: Element, path: Path) -> list[Note]:
    """Notes of the only part; ties are one note."""
    if root.tag != "score-partwise":
        raise UserError(f"{path} must be a score-partwise of MusicXML, but is a {root.tag}")
    parts = root.findall("part")
    if len(parts) > 1:
        raise UserError(
            f"{path} has {len(parts)} parts, but one voice sings; leave its part in it alone"
        )
    refused = {"repeat": "repeats", "grace": "grace notes", "ending": "repeats"}
    for element in root.iter():
        if element.tag in refused:
            raise UserError(
                f"{path} holds {refused[element.tag]}, which cannot be sung as they are written; "
                "write them out"
            )
    found: list[Note] = []
    for note, continues in _timed(parts[0]) if parts else ():
        last = found[-1] if found else None
        if (
            continues
            and last is not None
            and last.number == note.number
            and abs(last.end_seconds - note.start_seconds) < TOLERANCE_SECONDS
        ):
            found[-1] = replace(last, seconds=note.end_seconds - last.start_seconds)
        else:
            found.append(note)
    return sorted(found, key=lambda note: note.start_seconds)


def _timed(part: Element) -> Iterator[tuple[Note, bool]]:
    """Each note with its time, and whether a tie makes it go on from the one before."""
    now, begun, divisions, tempo = 0.0, 0.0, 1.0, DEFAULT_TEMPO
    for element in (each for measure in part.findall("measure") for each in measure):
        divisions = float(element.findtext("divisions") or divisions)
        for sound in element.iter("sound"):
            tempo = float(sound.get("tempo") or tempo)
        length = float(element.findtext("duration") or 0) / divisions * 60 / tempo
        if element.tag == "backup":
            now -= length
        elif element.tag == "forward":
            now += length
        elif element.tag == "note":
            if element.find("chord") is None:
                begun, now = now, now + length
            pitch = element.find("pitch")
            if pitch is not None:
                continues = any(tie.get("type") == "stop" for tie in element.findall("tie"))
                yield _note(element, pitch, begun, length), continues


def _note(element: Element, pitch: Any, begun: float, length: float) -> Note:
    step, octave = pitch.findtext("step", "").strip(), int(pitch.findtext("octave", ""))
    number = STEPS[step] + float(pitch.findtext("alter") or 0) + 12 * (octave + 1)
    lyric = element.find("lyric")
    said = "" if lyric is None else (lyric.findtext("text") or "").strip()
    syllabic = "" if lyric is None else lyric.findtext("syllabic", "")
    return Note(
        start_seconds=begun, seconds=length, number=number, syllable=said,
        joined=syllabic in ("begin", "middle"),
    )  # fmt: skip
