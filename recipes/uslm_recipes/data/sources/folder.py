"""A plain folder: each audio file with its text beside it, or tables that name them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from uslm_recipes.data.places import files_below, named_audio
from uslm_recipes.data.recording import (
    AUDIO_SUFFIXES,
    OTHER_AUDIO_SUFFIXES,
    Found,
    Recording,
    Rejected,
)
from uslm_recipes.data.sources.table import read_rows
from uslm_recipes.data.text_files import read_text
from uslm_tokenizer.errors import MissingResource, TextError

TABLE = "metadata.csv"


def matches(root: Path) -> bool:
    """Whether this is a folder; what lies in it is seen later."""
    return root.is_dir()


def read_folder(root: Path, language: str = "en") -> Iterator[Found]:
    """Recordings below `root`: those that a metadata.csv names, and each audio file with its .txt.

    A table speaks for its folder and all below. The speaker is the sub-folder, or `root` itself
    where the files lie in it directly.
    """
    if not root.is_dir():
        raise MissingResource(f"there is no folder {root}")
    unread: list[OSError] = []
    files = files_below(root, unread.append)
    for problem in unread:
        reason = f"folder cannot be read: {problem.strerror}"
        yield Rejected(where=str(problem.filename), audio="", reason=reason)
    tables = [path for path in files if path.name == TABLE]
    spoken_for = {table.parent for table in tables}
    named: set[str] = set()
    for table in tables:
        for each in read_table(table, root, language):
            if isinstance(each, Recording):
                named.add(os.path.realpath(each.audio))
            yield each
    texts = {path.with_suffix(""): path for path in files if path.suffix.lower() == ".txt"}
    for path in files:
        if path.suffix.lower() not in AUDIO_SUFFIXES | OTHER_AUDIO_SUFFIXES:
            continue
        if spoken_for.isdisjoint(path.parents):
            yield _with_text(path, texts.get(path.with_suffix("")), root, language)
        elif os.path.realpath(path) not in named:
            reason = f"audio file is not named by {TABLE}"
            yield Rejected(where=str(path), audio=str(path), reason=reason)


def read_table(table: Path, root: Path, language: str) -> Iterator[Found]:
    """LJSpeech's form and its kin, as `table.py` says; audio in wavs/ or beside it."""
    for row in read_rows(table):
        where = f"{table.relative_to(root.parent)}:{row.number}"
        if row.problem is not None:
            yield Rejected(where=where, audio=row.file, reason=row.problem)
            continue
        audio = named_audio(table.parent, row.file)
        if audio is None:
            yield Rejected(where=where, audio=row.file, reason="no audio file of this name")
            continue
        spoken = row.language or language
        yield _in_folder(audio, root, row.text, spoken, where=where, speaker=row.speaker)


def _with_text(audio: Path, text_file: Path | None, root: Path, language: str) -> Found:
    try:
        text = "" if text_file is None else read_text(text_file)
    except TextError as problem:
        return Rejected(where=str(audio), audio=str(audio), reason=f"text file {problem}")
    return _in_folder(audio, root, text, language, where=str(audio))


def _in_folder(
    audio: Path, root: Path, text: str, language: str, *, where: str, speaker: str = ""
) -> Recording:
    source = root.resolve().name
    top, path = Path(os.path.abspath(root)), Path(os.path.abspath(audio))
    is_inside = path.is_relative_to(top)
    inside = path.relative_to(top if is_inside else path.anchor)
    folders = [part for part in inside.parts[:-1] if part != "wavs"]
    if not speaker and folders:
        # Of a file elsewhere, the folder it lies in tells more than the top of the disk.
        speaker = folders[0] if is_inside else folders[-1]
    return Recording(
        where=where,
        audio=audio,
        id=f"{source}/{inside.with_suffix('').as_posix()}",
        source=source,
        speaker=f"{source}/{speaker}" if speaker else source,
        language=language,
        text=" ".join(text.split()),
    )
