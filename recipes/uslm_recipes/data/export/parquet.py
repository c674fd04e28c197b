"""A corpus as Parquet: `datasets.load_dataset(folder)` reads it, each part of it as a split.

train-00000.parquet ...   columns: audio (a FLAC file), id, source, speaker, language, text, ...
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.partial_folder import PartialFolder, told_when_full
from uslm_recipes.data.recording import SPLITS
from uslm_recipes.data.sources.parquet import OURS, parquet_package

ROWS_IN_A_GROUP = 64
"""So many are read at a time."""
STRINGS = ("id", "source", "speaker", "language", "text", "phonemes", "split", "labels")
NAMES = {"valid": "validation"}
"""Splits that Hugging Face calls otherwise."""


def write_parquet(corpus: Corpus, out: Path, *, shard_megabytes: float = 500.0) -> int:
    """Write a corpus of one folder; returns how many files there are.

    A run that was stopped goes on at the file where it was.
    """
    key = f"parquet {corpus.headers[0]['sha']} {shard_megabytes}"
    with PartialFolder(out) as part:
        done: dict[str, int] = part.read_state(key) or {}
        for split in SPLITS:
            indices = corpus.select(split=split).tolist()
            number = first = 0
            while first < len(indices):
                name = f"{NAMES.get(split, split)}-{number:05d}.parquet"
                if name not in done:
                    with told_when_full(part.path, f"{len(done)} files are kept"):
                        done[name] = _write_file(
                            corpus, indices[first:], part.path / name, shard_megabytes * 1e6
                        )
                    part.write_state(key, done)
                first, number = first + done[name], number + 1
        part.finish()
    return len(done)


def _write_file(corpus: Corpus, indices: Sequence[int], path: Path, max_bytes: float) -> int:
    """Utterances until the file is full; returns how many there are."""
    import pyarrow

    count, schema = 0, _schema(corpus.sample_rate)
    # Nothing is gained by packing FLAC once more.
    with (
        path.open("wb") as file,
        parquet_package().ParquetWriter(
            file, schema, compression={"audio.bytes": "none"}
        ) as writer,
    ):
        while count < len(indices) and (not count or file.tell() < max_bytes):
            some = indices[count : count + ROWS_IN_A_GROUP]
            rows = [_row(corpus, index) for index in some]
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
            count += len(some)
    return count


def _row(corpus: Corpus, index: int) -> dict[str, Any]:
    import soundfile

    row, flac = corpus.utterances[index], io.BytesIO()
    soundfile.write(flac, corpus.samples(index), corpus.sample_rate, format="FLAC")
    return {
        "audio": {"bytes": flac.getvalue(), "path": f"{row.id.replace('/', '-')}.flac"},
        **{name: getattr(row, name) for name in STRINGS},
        "labels": json.dumps(dict(row.labels), ensure_ascii=False),
        "durations": row.durations,
    }


def _schema(sample_rate: int) -> Any:
    import pyarrow

    features: dict[str, Any] = {
        "audio": {"sampling_rate": sample_rate, "_type": "Audio"},
        **{name: {"dtype": "string", "_type": "Value"} for name in STRINGS},
        "durations": {"feature": {"dtype": "float64", "_type": "Value"}, "_type": "Sequence"},
    }
    audio = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    return pyarrow.schema(
        {
            "audio": audio,
            **{name: pyarrow.string() for name in STRINGS},
            "durations": pyarrow.list_(pyarrow.float64()),
        },
        metadata={OURS: b"1", b"huggingface": json.dumps({"info": {"features": features}})},
    )
