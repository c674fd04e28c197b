"""Our own JSONL manifest: one JSON object a line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from reprlib import repr
from typing import Any

from uslm_recipes.data.corpus_format import are_labels
from uslm_recipes.data.places import named_file
from uslm_recipes.data.recording import SPLITS, Found, Recording, Rejected, Segment, is_time
from uslm_recipes.data.text_files import load_json, read_lines
from uslm_tokenizer.errors import MissingResource, TextError
from uslm_tokenizer.renames import current_keys


def matches(root: Path) -> bool:
    """Whether this is such a file."""
    return root.is_file() and root.suffix == ".jsonl"


def read_manifest(path: Path, language: str = "en") -> Iterator[Found]:
    """Each line an object with fields of `Recording`; audio is relative to the manifest.

    `language` is that of the lines which name none.
    """
    if not path.is_file():
        raise MissingResource(f"there is no manifest {path}")
    for line in read_lines(path):
        where = f"{path.name}:{line.number}"
        if line.problem is not None:
            yield Rejected(where=where, audio="", reason=line.problem)
        elif line.text.strip():
            yield _manifest_line(line.text, path, language, where=where)


def _manifest_line(line: str, manifest: Path, language: str, *, where: str) -> Found:
    try:
        data = load_json(line)
    except TextError as problem:
        return Rejected(where=where, audio="", reason=f"line {problem}")
    data = current_keys("Recording", data)
    problem_found = _manifest_problem(data)
    if problem_found is not None:
        audio = data.get("audio")
        named = audio if isinstance(audio, str) else ""
        return Rejected(where=where, audio=named, reason=problem_found)
    speaker = data["speaker"]
    durations = data.get("durations")
    segment = {
        name: value for name, value in (data.get("segment") or {}).items() if value is not None
    }
    return Recording(
        where=where,
        audio=named_file(manifest.parent, data["audio"]),
        id=data.get("id") or Path(os.path.splitext(data["audio"])[0]).as_posix(),
        source=data.get("source") or _collection(speaker, manifest),
        speaker=speaker,
        language=data.get("language") or language,
        text=data.get("text") or "",
        phonemes=data.get("phonemes"),
        durations=None if durations is None else tuple(float(d) for d in durations),
        split=data.get("split"),
        segment=Segment(**segment) if segment else None,
        labels=data.get("labels") or {},
    )


def _collection(speaker: str, manifest: Path) -> str:
    return speaker.split("/")[0] if "/" in speaker else manifest.stem


def _manifest_problem(data: dict[str, Any]) -> str | None:
    """Problem of the fields of one manifest line, if any."""
    for key in ("audio", "speaker"):
        if not isinstance(data.get(key), str) or not data[key]:
            return f"{key} must be a non-empty string, but is {repr(data.get(key))}"
    for key in ("id", "source", "text", "language", "phonemes"):
        if not isinstance(data.get(key) or "", str):
            return f"{key} must be a string, but is {repr(data[key])}"
    if data.get("split") not in (None, *SPLITS):
        return f"split must be one of {list(SPLITS)}, but is {repr(data['split'])}"
    segment = data.get("segment")
    if not isinstance(segment or {}, dict) or (segment or {}).keys() - SEGMENT:
        return f"segment must be an object with some of {list(SEGMENT)}, but is {repr(segment)}"
    for key, value in (segment or {}).items():
        what, fits = SEGMENT[key]
        if value is not None and not fits(value):
            return f"{key} of the segment must be {what}, but is {repr(value)}"
    if data.get("labels") and not are_labels(data["labels"]):
        return f"labels must be names of classes by kind, but are {repr(data['labels'])}"
    durations = data.get("durations")
    if durations is not None:
        numbers = isinstance(durations, list) and all(map(is_time, durations))
        if not numbers or len(durations) != len(data.get("phonemes") or "") + 2:
            return (
                "durations must be one number for each phoneme, and one for the silence at each end"
            )
    return None


def _is_place(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


SEGMENT: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "start_seconds": ("seconds from 0 on", is_time),
    "stop_seconds": ("seconds from 0 on", is_time),
    "offset": ("a whole number from 0 on", _is_place),
    "num_bytes": ("a whole number from 0 on", _is_place),
}
