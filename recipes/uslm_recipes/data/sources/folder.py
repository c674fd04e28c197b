"""A plain folder: each audio file with its text beside it, or tables that name them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from uslm_recipes.data.recording import AUDIO_SUFFIXES, Found, Recording, Rejected
from uslm_tokenizer.errors import MissingResource


def matches(root: Path) -> bool:
    """Whether this is a folder; what lies in it is seen later."""
    return root.is_dir()


def read_folder(root: Path, language: str = "en") -> Iterator[Found]:
    """Recordings below `root`: those that a metadata.csv names, or each audio file with its .txt.

    The speaker is the sub-folder, or `root` itself where the files lie in it directly.
    """
    if not root.is_dir():
        raise MissingResource(f"there is no folder {root}")
    tables = sorted(root.rglob("metadata.csv"))
    if tables:
        for table in tables:
            yield from read_table(table, root, language)
        return
    for audio in sorted(path for path in root.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES):
        text_file = audio.with_suffix(".txt")
        text = (
            text_file.read_text(encoding="utf-8", errors="replace") if text_file.is_file() else ""
        )
        yield _in_folder(audio, root, " ".join(text.split()), language, where=str(audio))


def read_table(table: Path, root: Path, language: str) -> Iterator[Found]:
    """LJSpeech's form: `name|text` or `name|text|normalised text`; audio in wavs/ or beside it."""
    lines = table.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        where = f"{table.relative_to(root.parent)}:{number}"
        fields = [field.strip() for field in line.split("|")]
        if not line.strip():
            continue
        if len(fields) < 2 or not fields[0]:
            yield Rejected(where=where, audio="", reason="line is not 'name|text'")
            continue
        audio = _table_audio(table.parent, fields[0])
        if audio is None:
            yield Rejected(where=where, audio=fields[0], reason="no audio file of this name")
            continue
        yield _in_folder(audio, root, fields[-1] or fields[1], language, where=where)


def _table_audio(folder: Path, name: str) -> Path | None:
    for base in (folder / "wavs", folder):
        for candidate in (base / name, *(base / f"{name}{s}" for s in sorted(AUDIO_SUFFIXES))):
            if candidate.is_file():
                return candidate
    return None


def _in_folder(audio: Path, root: Path, text: str, language: str, *, where: str) -> Recording:
    source = root.resolve().name
    inside = audio.relative_to(root)
    parents = [part for part in inside.parts[:-1] if part != "wavs"]
    return Recording(
        where=where,
        audio=audio,
        id=f"{source}/{inside.with_suffix('').as_posix()}",
        source=source,
        speaker="/".join([source, *parents[:1]]) if parents else source,
        language=language,
        text=text,
    )
