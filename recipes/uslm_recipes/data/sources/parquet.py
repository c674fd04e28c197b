"""Parquet files as Hugging Face `datasets` writes them: an audio column, and others beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from uslm_recipes.data.recording import SPLITS, Found, Recording, Rejected, Segment
from uslm_recipes.data.sources.hugging_face import COLUMNS, choose_columns, row_recording
from uslm_tokenizer.errors import EnvironmentProblem, UserError

OURS = b"uslm"
"""Key of a file's metadata: its columns are the fields of our corpora, as `shards` writes them."""
FIELDS = ("id", "source", "speaker", "language", "text", "phonemes", "durations", "split", "labels")
ROWS_AT_A_TIME = 64


def matches(root: Path) -> bool:
    """Whether this is such a file, or a folder with some in it or below."""
    return bool(_files(root))


def read_parquet(root: Path, language: str = "en", query: str = "") -> Iterator[Found]:
    """Rows of every file; the part of the corpus is told by its name, such as train-00000.parquet.

    `text=COLUMN` and the like in `query` name unusual columns.
    """
    options = dict(parse_qsl(query))
    unknown = options.keys() - COLUMNS.keys()
    if unknown:
        raise UserError(f"options of {root} must be among {[*COLUMNS]}, but are {sorted(unknown)}")
    parquet = parquet_package()
    for path in _files(root):
        yield from _read_file(parquet, path, root, language, options)


def _files(root: Path) -> list[Path]:
    if root.is_dir():
        return sorted(root.rglob("*.parquet"))
    return [root] if root.suffix == ".parquet" and root.is_file() else []


def parquet_package() -> Any:
    """The module of pyarrow, or an error that names the extra."""
    try:
        import pyarrow.parquet
    except ImportError as problem:
        raise EnvironmentProblem(
            "Parquet needs the package `pyarrow`: pip install 'uslm[parquet]'"
        ) from problem
    return pyarrow.parquet


def _read_file(
    parquet: Any, path: Path, root: Path, language: str, options: dict[str, str]
) -> Iterator[Found]:
    try:
        with parquet.ParquetFile(path) as file:
            yield from _read_rows(file, path, root, language, options)
    except UserError:
        raise
    except (OSError, ValueError) as problem:  # all that pyarrow raises is of these kinds
        yield Rejected(where=path.name, audio=str(path), reason=f"unreadable: {problem}")


def _read_rows(
    file: Any, path: Path, root: Path, language: str, options: dict[str, str]
) -> Iterator[Found]:
    names = file.schema_arrow.names
    is_ours = OURS in (file.schema_arrow.metadata or {})
    columns = choose_columns(names, options)
    wanted = [columns["audio"], *FIELDS] if is_ours else [*filter(None, columns.values())]
    source = root.resolve().name.removesuffix(".parquet")
    part = path.stem.replace("validation", "valid", 1)
    batches = file.iter_batches(ROWS_AT_A_TIME, columns=wanted)
    rows = (row for batch in batches for row in batch.to_pylist())
    for number, row in enumerate(rows):
        if isinstance(row[columns["audio"]], bytes):
            row[columns["audio"]] = {"bytes": row[columns["audio"]]}
        if is_ours:
            yield _our_recording(row, path, number)
        else:
            yield row_recording(row, columns, source, part, number, language)


def _our_recording(row: dict[str, Any], path: Path, number: int) -> Recording:
    durations, split = row["durations"], row["split"]
    return Recording(
        where=f"{path.name}:{number}",
        audio=Path(row["audio"]["path"] or str(number)),
        **{key: row[key] for key in ("id", "source", "speaker", "language", "text")},
        phonemes=row["phonemes"] or None,
        durations=None if durations is None else tuple(durations),
        split=split if split in SPLITS else None,
        segment=Segment(data=row["audio"]["bytes"]),
        labels=json.loads(row["labels"]),
    )
