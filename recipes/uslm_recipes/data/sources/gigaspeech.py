"""GigaSpeech and what is described like it: one JSON file of long recordings and their segments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from uslm_recipes.data.recording import Found, Piece, Recording, Rejected
from uslm_tokenizer.errors import UserError

PUNCTUATION = {"<COMMA>": ",", "<PERIOD>": ".", "<QUESTIONMARK>": "?", "<EXCLAMATIONPOINT>": "!"}
SPLITS = {"{DEV}": "valid", "{TEST}": "test"}
NOBODY = ("", "N/A", None)


def matches(root: Path) -> bool:
    """Whether this is such a file, or a folder with GigaSpeech.json in it."""
    if root.is_dir():
        return (root / "GigaSpeech.json").is_file()
    if root.suffix != ".json":
        return False
    with root.open(encoding="utf-8", errors="replace") as file:
        return '"audios"' in file.read(4096)


def read_gigaspeech(root: Path, language: str = "en") -> Iterator[Found]:
    """Each segment is a recording; where it names no speaker, the long recording is one."""
    path = root / "GigaSpeech.json" if root.is_dir() else root
    try:
        data = json.loads(path.read_text(encoding="utf-8", errors="replace"))
        audios = data["audios"]
    except (json.JSONDecodeError, KeyError, TypeError) as problem:
        raise UserError(f"{path} must be JSON with a list `audios`: {problem}") from problem
    spoken = str(data.get("language") or language).lower()
    for audio in audios:
        for number, segment in enumerate(audio.get("segments", [])):
            name = segment.get("sid") or f"{audio.get('aid')}[{number}]"
            where = f"{path.name}:{name}"
            yield _segment(segment, audio, path.parent, spoken, where)


def _segment(
    segment: dict[str, Any], audio: dict[str, Any], folder: Path, language: str, where: str
) -> Found:
    file = str(audio.get("path") or "")
    try:
        start, stop = float(segment["begin_time"]), float(segment["end_time"])
    except (KeyError, TypeError, ValueError):
        return Rejected(where=where, audio=file, reason="segment has no begin_time and end_time")
    if not file or not 0 <= start < stop:
        return Rejected(where=where, audio=file, reason=f"segment cannot be {start}..{stop} s")
    text = _text(str(segment.get("text_tn") or segment.get("text") or ""))
    if text is None:
        return Rejected(where=where, audio=file, reason="marked as noise, music or silence")
    sid, aid = segment.get("sid") or where, audio.get("aid") or Path(file).stem
    speaker = segment.get("speaker") if segment.get("speaker") not in NOBODY else aid
    subsets = [*audio.get("subsets", []), *segment.get("subsets", [])]
    return Recording(
        where=where,
        audio=folder / file,
        id=f"gigaspeech/{sid}",
        source="gigaspeech",
        speaker=f"gigaspeech/{speaker}",
        language=language,
        text=text,
        split=next((SPLITS[each] for each in subsets if each in SPLITS), None),
        piece=Piece(start_seconds=start, stop_seconds=stop),
    )


def _text(tagged: str) -> str | None:
    """Tags of punctuation become marks; any other tag means that this is no speech to learn."""
    for tag, mark in PUNCTUATION.items():
        tagged = tagged.replace(f" {tag}", mark).replace(tag, mark)
    if re.search(r"<[A-Z]+>", tagged):
        return None
    return " ".join(tagged.split())
