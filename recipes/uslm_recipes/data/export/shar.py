"""A corpus as Shar of lhotse: `CutSet.from_shar(in_dir=...)` reads it.

cuts.000000.jsonl.gz      one MonoCut a line
recording.000000.tar      ID.flac beside ID.json, in the same order
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.corpus_format import Utterance
from uslm_recipes.data.partial_folder import PartialFolder, told_when_full
from uslm_recipes.data.sources.lhotse import OURS


def write_shar(corpus: Corpus, out: Path, *, shard_megabytes: float = 500.0) -> int:
    """Write a corpus of one folder; returns how many shards there are.

    A run that was stopped goes on at the shard where it was.
    """
    key = f"shar {corpus.headers[0]['sha']} {shard_megabytes}"
    with PartialFolder(out) as part:
        state = part.read_state(key) or {"shard": 0, "next": 0}
        shard, index = state["shard"], state["next"]
        while index < len(corpus):
            with told_when_full(part.path, f"{shard} shards are kept"):
                index = _write_shard(corpus, part.path, shard, index, shard_megabytes * 1e6)
            shard += 1
            part.write_state(key, {"shard": shard, "next": index})
        part.finish()
    return int(shard)


def _write_shard(corpus: Corpus, folder: Path, shard: int, first: int, max_bytes: float) -> int:
    """Utterances from `first` on, until the shard is full; returns the first of the next."""
    lines: list[str] = []
    with tarfile.open(
        folder / f"recording.{shard:06d}.tar", "w", format=tarfile.GNU_FORMAT
    ) as archive:
        index = first
        while index < len(corpus) and (index == first or archive.offset < max_bytes):
            row = corpus.utterances[index]
            manifest = _recording(row, corpus.sample_rate)
            for suffix, data in (
                ("flac", _flac(corpus, index)),
                ("json", json.dumps(manifest).encode()),
            ):
                member = tarfile.TarInfo(f"{row.id}.{suffix}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
            lines.append(json.dumps(_cut(row, manifest)))
            index += 1
    # Without the time of writing, the same corpus gives the same bytes.
    with (
        (folder / f"cuts.{shard:06d}.jsonl.gz").open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as cuts,
    ):
        cuts.write("".join(f"{line}\n" for line in lines).encode())
    return index


def _flac(corpus: Corpus, index: int) -> bytes:
    import soundfile

    flac = io.BytesIO()
    soundfile.write(flac, corpus.samples(index), corpus.sample_rate, format="FLAC")
    return flac.getvalue()


def _recording(row: Utterance, sample_rate: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "sources": [{"type": "shar", "channels": [0], "source": ""}],
        "sampling_rate": sample_rate,
        "num_samples": row.num_samples,
        "duration": row.num_samples / sample_rate,
        "channel_ids": [0],
    }


def _cut(row: Utterance, recording: dict[str, Any]) -> dict[str, Any]:
    ours = {
        "source": row.source,
        "split": row.split,
        "phonemes": row.phonemes,
        "durations": row.durations,
        "labels": dict(row.labels),
    }
    supervision = {
        "id": row.id,
        "recording_id": row.id,
        "start": 0.0,
        "duration": recording["duration"],
        "channel": 0,
        "text": row.text,
        "language": row.language,
        "speaker": row.speaker,
        "custom": {OURS: ours},
    }
    if "gender" in row.labels:
        supervision["gender"] = row.labels["gender"]
    return {
        "id": row.id,
        "start": 0,
        "duration": recording["duration"],
        "channel": 0,
        "supervisions": [supervision],
        "recording": recording,
        "type": "MonoCut",
    }
