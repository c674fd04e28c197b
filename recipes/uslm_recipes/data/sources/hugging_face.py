"""Hugging Face `datasets`, streamed: nothing is kept of them but what enters the corpus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from uslm_recipes.data.recording import Found, Recording, Rejected, Segment
from uslm_tokenizer.errors import EnvironmentProblem, MissingResource, UserError

# What published data sets call these columns, the likeliest first.
COLUMNS = {
    "audio": ("audio", "speech", "wav", "mp3", "flac"),
    "text": ("text_normalized", "normalized_text", "text", "sentence", "transcription",
             "transcript", "normalized_transcription"),
    "speaker": ("speaker_id", "speaker", "client_id", "spk_id"),
    "id": ("id", "utterance_id", "segment_id", "__key__"),
}  # fmt: skip
OPTIONS = ("config", "split", *COLUMNS)


def read_hugging_face(place: str, language: str = "en") -> Iterator[Found]:
    """Rows of `hf:NAME?config=..&split=..`; `text=COLUMN` and the like name unusual columns."""
    name, _, query = place.removeprefix("hf:").partition("?")
    options = dict(parse_qsl(query))
    unknown = options.keys() - set(OPTIONS)
    if unknown:
        raise UserError(f"options of {name} must be among {OPTIONS}, but are {sorted(unknown)}")
    split = options.get("split", "train")
    rows = _open(name, options.get("config"), split)
    columns = choose_columns(list(rows.features or next(iter(rows))), options)
    rows = _undecoded(rows, columns["audio"])
    for number, row in enumerate(rows):
        yield row_recording(row, columns, name, split, number, language)


def _open(name: str, config: str | None, split: str) -> Any:
    try:
        import datasets
    except ImportError as problem:
        raise EnvironmentProblem(
            "reading hf:... needs the package `datasets`: pip install 'uslm[datasets]'"
        ) from problem
    try:
        return datasets.load_dataset(name, config, split=split, streaming=True)
    except (OSError, ValueError) as problem:
        raise MissingResource(f"cannot open {name}, split {split}: {problem}") from problem


def _undecoded(rows: Any, column: str) -> Any:
    """Files as they are: our own workers decode them."""
    import datasets

    return rows.cast_column(column, datasets.Audio(decode=False))


def choose_columns(names: Sequence[str], options: dict[str, str]) -> dict[str, str]:
    """Column of the data set that each of ours is; only audio must be there."""
    chosen = {
        ours: next((n for n in (options.get(ours, ""), *theirs) if n in names), "")
        for ours, theirs in COLUMNS.items()
    }
    for ours in COLUMNS:
        if ours in options and chosen[ours] != options[ours]:
            raise UserError(f"{ours} must be one of the columns {names}, but is {options[ours]!r}")
    if not chosen["audio"]:
        raise UserError(f"none of the columns {names} has audio; name it by audio=COLUMN")
    return chosen


def row_recording(
    row: dict[str, Any], columns: dict[str, str], name: str, split: str, number: int, language: str
) -> Found:
    """The recording of a row: the file itself is in it, or its path."""
    where = f"{name}/{split}:{number}"
    audio = row[columns["audio"]] or {}
    data, path = audio.get("bytes"), audio.get("path") or ""
    if data is None and not path:
        return Rejected(where=where, audio="", reason="row has no audio")
    source = name.split("/")[-1]
    speaker = row.get(columns["speaker"])
    # Without speakers each row is one: none may be taken for of the speaker of another.
    who = speaker if speaker not in (None, "") else f"{split}-{number}"
    return Recording(
        where=where,
        audio=Path(path or str(number)),
        id=f"{source}/{split}/{row.get(columns['id']) or number}",
        source=source,
        speaker=f"{source}/{who}",
        language=language,
        text=" ".join(str(row.get(columns["text"]) or "").split()),
        split=next((ours for ours in ("train", "valid", "test") if split.startswith(ours)), None),
        segment=None if data is None else Segment(data=data),
    )
