"""GigaSpeech and what is described like it: one JSON file of long recordings and their segments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from reprlib import repr
from typing import Any

from uslm_recipes.data.places import named_file
from uslm_recipes.data.recording import Found, Recording, Rejected, Segment, is_time
from uslm_recipes.data.text_files import load_json, read_text
from uslm_tokenizer.errors import TextError, UserError

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
        data = load_json(read_text(path))
    except TextError as problem:
        raise UserError(f"{path} {problem}; it must be JSON with a list `audios`") from problem
    audios = data.get("audios")
    if not isinstance(audios, list):
        raise UserError(f"{path} must be JSON with a list `audios`, but has {repr(audios)}")
    spoken = str(data.get("language") or language).lower()
    for place, audio in enumerate(audios):
        where = f"{path.name}:audios[{place}]"
        segments = audio.get("segments", []) if isinstance(audio, dict) else None
        if not isinstance(segments, list):
            yield Rejected(where=where, audio="", reason="audio has no list of segments")
            continue
        for number, segment in enumerate(segments):
            if not isinstance(segment, dict):
                reason = "segment is no JSON object"
                yield Rejected(where=f"{where}[{number}]", audio="", reason=reason)
                continue
            name = segment.get("sid") or f"{audio.get('aid')}[{number}]"
            yield _segment(segment, audio, path.parent, spoken, f"{path.name}:{name}")


def _segment(
    segment: dict[str, Any], audio: dict[str, Any], folder: Path, language: str, where: str
) -> Found:
    file = str(audio.get("path") or "")
    start: Any = segment.get("begin_time")
    stop: Any = segment.get("end_time")
    if not (is_time(start) and is_time(stop)):
        return Rejected(where=where, audio=file, reason="segment has no begin_time and end_time")
    if not file or not start < stop:
        return Rejected(where=where, audio=file, reason=f"segment cannot be {start}..{stop} s")
    text = _text(str(segment.get("text_tn") or segment.get("text") or ""))
    if text is None:
        return Rejected(where=where, audio=file, reason="marked as noise, music or silence")
    sid, aid = segment.get("sid") or where, audio.get("aid") or Path(file).stem
    speaker = segment.get("speaker") if segment.get("speaker") not in NOBODY else aid
    subsets = [str(each) for facts in (audio, segment) for each in _listed(facts.get("subsets"))]
    return Recording(
        where=where,
        audio=named_file(folder, file),
        id=f"gigaspeech/{sid}",
        source="gigaspeech",
        speaker=f"gigaspeech/{speaker}",
        language=language,
        text=text,
        split=next((SPLITS[each] for each in subsets if each in SPLITS), None),
        segment=Segment(start_seconds=start, stop_seconds=stop),
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(tagged: str) -> str | None:
    """Tags of punctuation become marks; any other tag means that this is no speech to learn."""
    for tag, mark in PUNCTUATION.items():
        tagged = tagged.replace(f" {tag}", mark).replace(tag, mark)
    if re.search(r"<[A-Z]+>", tagged):
        return None
    return " ".join(tagged.split())
