"""Where recordings come from: JSONL manifests, LJSpeech-like tables, plain folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uslm_tokenizer.errors import MissingResource

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif"})
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recording as its source describes it; nothing is checked against the audio yet."""

    where: str
    """File and line that name it, for messages."""
    audio: Path
    id: str
    source: str
    speaker: str
    language: str = "en"
    text: str = ""
    phonemes: str | None = None
    durations: tuple[float, ...] | None = None
    split: str | None = None


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A line or a file that cannot be used, and why."""

    where: str
    audio: str
    reason: str


Found = Recording | Rejected


def read_manifest(path: Path) -> Iterator[Found]:
    """Each line a JSON object with the fields of `Recording`; audio is relative to the manifest."""
    if not path.is_file():
        raise MissingResource(f"there is no manifest {path}")
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _manifest_line(line, path, where=f"{path.name}:{number}")


def _manifest_line(line: str, manifest: Path, *, where: str) -> Found:
    try:
        data = json.loads(line)
    except json.JSONDecodeError as problem:
        return Rejected(where=where, audio="", reason=f"not JSON: {problem}")
    if not isinstance(data, dict):
        return Rejected(where=where, audio="", reason="not a JSON object")
    problem_found = _manifest_problem(data)
    audio = data.get("audio")
    if problem_found is not None:
        return Rejected(where=where, audio=str(audio), reason=problem_found)
    speaker = data["speaker"]
    durations = data.get("durations")
    return Recording(
        where=where,
        audio=manifest.parent / data["audio"],
        id=str(Path(data["audio"]).with_suffix("").as_posix()),
        source=speaker.split("/")[0] if "/" in speaker else manifest.stem,
        speaker=speaker,
        language=data.get("language") or "en",
        text=data.get("text") or "",
        phonemes=data.get("phonemes"),
        durations=None if durations is None else tuple(float(d) for d in durations),
        split=data.get("split"),
    )


def _manifest_problem(data: dict[str, Any]) -> str | None:
    """What is wrong with the fields of one manifest line, if anything."""
    for key in ("audio", "speaker"):
        if not isinstance(data.get(key), str) or not data[key]:
            return f"{key} must be a non-empty string, but is {data.get(key)!r}"
    for key in ("text", "language", "phonemes"):
        if not isinstance(data.get(key) or "", str):
            return f"{key} must be a string, but is {data[key]!r}"
    if data.get("split") not in (None, *SPLITS):
        return f"split must be one of {list(SPLITS)}, but is {data['split']!r}"
    durations = data.get("durations")
    if durations is not None:
        numbers = isinstance(durations, list) and all(
            isinstance(d, (int, float)) for d in durations
        )
        if not numbers or len(durations) != len(data.get("phonemes") or "") + 2:
            return (
                "durations must be one number for each phoneme, and one for the silence at each end"
            )
    return None


def read_folder(root: Path, language: str = "en") -> Iterator[Found]:
    """Recordings below `root`: those that a metadata.csv names, or each audio file with its .txt.

    The speaker is the sub-folder, or `root` itself where the files lie in it directly.
    """
    if not root.is_dir():
        raise MissingResource(f"there is no folder {root}")
    tables = sorted(root.rglob("metadata.csv"))
    if tables:
        for table in tables:
            yield from _read_table(table, root, language)
        return
    for audio in sorted(path for path in root.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES):
        text_file = audio.with_suffix(".txt")
        text = (
            text_file.read_text(encoding="utf-8", errors="replace") if text_file.is_file() else ""
        )
        yield _in_folder(audio, root, " ".join(text.split()), language, where=str(audio))


def _read_table(table: Path, root: Path, language: str) -> Iterator[Found]:
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
