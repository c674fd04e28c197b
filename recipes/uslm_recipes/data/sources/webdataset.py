"""Tar shards in the layout of WebDataset: files that share a name up to the first dot are one."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from uslm_recipes.data.recording import (
    AUDIO_SUFFIXES,
    OTHER_AUDIO_SUFFIXES,
    SPLITS,
    Found,
    Recording,
    Rejected,
    Segment,
)
from uslm_recipes.data.text_files import decode_text, load_json
from uslm_tokenizer.errors import TextError


def matches(root: Path) -> bool:
    """Whether this is a shard, or a folder of them."""
    return bool(_shards(root))


def read_webdataset(root: Path, language: str = "en") -> Iterator[Found]:
    """Samples of every shard: audio, with .json for its facts or .txt for its text."""
    for shard in _shards(root):
        yield from _read_shard(shard, language)


def _read_shard(shard: Path, language: str) -> Iterator[Found]:
    try:
        with tarfile.open(shard, "r:") as archive:
            files = (member for member in archive if member.isfile())
            for key, members in groupby(files, key=_key):
                yield _recording(archive, shard, key, list(members), language)
    # What a damaged header makes tarfile raise is more than TarError.
    except (tarfile.TarError, OSError, ValueError, OverflowError) as problem:
        yield Rejected(where=shard.name, audio=str(shard), reason=f"unreadable: {problem}")


def _shards(root: Path) -> list[Path]:
    return sorted(root.glob("*.tar")) if root.is_dir() else [root] if root.suffix == ".tar" else []


def _key(member: tarfile.TarInfo) -> str:
    path = Path(member.name)
    return str(path.parent / path.name.split(".")[0])


def _recording(
    archive: tarfile.TarFile,
    shard: Path,
    key: str,
    members: list[tarfile.TarInfo],
    language: str,
) -> Found:
    where = f"{shard.name}:{key}"
    by_suffix = {Path(member.name).suffix.lower(): member for member in members}
    known = AUDIO_SUFFIXES | OTHER_AUDIO_SUFFIXES
    audio = next((by_suffix[each] for each in by_suffix if each in known), None)
    if audio is None:
        return Rejected(where=where, audio=key, reason="no audio file of this name")
    facts: dict[str, Any] = {}
    try:
        if ".json" in by_suffix:
            facts = load_json(_read(archive, by_suffix[".json"]))
        text = facts.get("text") or ""
        if not text and ".txt" in by_suffix:
            text = _read(archive, by_suffix[".txt"])
    except TextError as problem:
        return Rejected(where=where, audio=audio.name, reason=f"text file {problem}")
    phonemes = facts.get("phonemes") or None
    if not isinstance(phonemes, str | None):
        return Rejected(where=where, audio=audio.name, reason="phonemes are no string")
    source = str(facts.get("source") or shard.parent.resolve().name)
    split = facts.get("split")
    return Recording(
        where=where,
        audio=shard,
        id=str(facts.get("id") or f"{source}/{shard.stem}/{key}"),
        source=source,
        speaker=str(facts.get("speaker") or facts.get("speaker_id") or f"{source}/{key}"),
        language=str(facts.get("language") or language),
        text=" ".join(str(text).split()),
        phonemes=phonemes,
        split=split if split in SPLITS else None,
        segment=Segment(offset=audio.offset_data, num_bytes=audio.size),
    )


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = archive.extractfile(member)
    assert file is not None
    return decode_text(file.read())
