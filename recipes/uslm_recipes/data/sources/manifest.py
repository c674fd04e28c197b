"""Our own JSONL manifest: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from uslm_recipes.data.recording import SPLITS, Found, Piece, Recording, Rejected
from uslm_tokenizer.errors import MissingResource

PIECE = ("start_seconds", "stop_seconds", "offset", "num_bytes")


def matches(root: Path) -> bool:
    """Whether this is such a file."""
    return root.is_file() and root.suffix == ".jsonl"


def read_manifest(path: Path, language: str = "en") -> Iterator[Found]:
    """Each line an object with fields of `Recording`; audio is relative to the manifest.

    `language` is that of the lines which name none.
    """
    if not path.is_file():
        raise MissingResource(f"there is no manifest {path}")
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _manifest_line(line, path, language, where=f"{path.name}:{number}")


def _manifest_line(line: str, manifest: Path, language: str, *, where: str) -> Found:
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
        id=data.get("id") or str(Path(data["audio"]).with_suffix("").as_posix()),
        source=data.get("source") or _collection(speaker, manifest),
        speaker=speaker,
        language=data.get("language") or language,
        text=data.get("text") or "",
        phonemes=data.get("phonemes"),
        durations=None if durations is None else tuple(float(d) for d in durations),
        split=data.get("split"),
        piece=Piece(**data["piece"]) if data.get("piece") else None,
    )


def _collection(speaker: str, manifest: Path) -> str:
    return speaker.split("/")[0] if "/" in speaker else manifest.stem


def _manifest_problem(data: dict[str, Any]) -> str | None:
    """What is wrong with the fields of one manifest line, if anything."""
    for key in ("audio", "speaker"):
        if not isinstance(data.get(key), str) or not data[key]:
            return f"{key} must be a non-empty string, but is {data.get(key)!r}"
    for key in ("id", "source", "text", "language", "phonemes"):
        if not isinstance(data.get(key) or "", str):
            return f"{key} must be a string, but is {data[key]!r}"
    if data.get("split") not in (None, *SPLITS):
        return f"split must be one of {list(SPLITS)}, but is {data['split']!r}"
    piece = data.get("piece") or {}
    if not isinstance(piece, dict) or piece.keys() - PIECE:
        return f"piece must be an object with some of {list(PIECE)}, but is {piece!r}"
    if not all(value is None or isinstance(value, (int, float)) for value in piece.values()):
        return f"piece must hold numbers, but is {piece!r}"
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
