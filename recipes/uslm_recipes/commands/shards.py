"""Turns a corpus into shards of FLAC, for disks that cannot keep it in memory, and for others.

    python -m uslm_recipes.shards --corpus data/corpus --out data/shards

What is made is a corpus folder too: recipes take it in place of the other, tokens fit both, and any
reader of WebDataset can read it. With `--format shar` it is Shar of lhotse, with `--format parquet`
Parquet as of Hugging Face: for them, and for uslm-prepare. A run that was stopped goes on at the
shard where it was.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from uslm_recipes.command import run_command
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.corpus_format import (
    HEADER_FILE,
    REJECTED_FILE,
    SHARDS_FILE,
    UTTERANCES_FILE,
    shard_name,
)
from uslm_recipes.data.export.parquet import write_parquet
from uslm_recipes.data.export.shar import write_shar
from uslm_recipes.data.partial_folder import PartialFolder, told_when_full
from uslm_tokenizer.errors import UserError


def write_shards(corpus: Corpus, out: Path, *, shard_megabytes: float = 500.0) -> int:
    """Write the shards of a corpus of one folder; returns how many there are."""
    _check(corpus, shard_megabytes)
    [folder] = corpus.folders
    key = f"{corpus.headers[0]['sha']} {shard_megabytes}"
    with PartialFolder(out) as part:
        state = part.read_state(key)
        places: list[list[int]] = state["places"] if state else []
        shard = places[-1][0] + 1 if places else 0
        with told_when_full(part.path, f"{shard} shards are kept"):
            while len(places) < len(corpus):
                path = part.path / shard_name(shard)
                _write_shard(corpus, path, len(places), shard_megabytes * 1e6)
                places += [[shard, *place] for place in _places(path)]
                shard += 1
                part.write_state(key, {"places": places})
            np.save(part.path / SHARDS_FILE, np.array(places, dtype=np.int64))
            for name in (UTTERANCES_FILE, REJECTED_FILE, HEADER_FILE):
                if (folder / name).is_file():
                    shutil.copyfile(folder / name, part.path / name)
            part.finish()
    return shard


def _check(corpus: Corpus, shard_megabytes: float) -> None:
    if len(corpus.folders) != 1:
        raise UserError(f"shards are made of one corpus at a time, but here are {corpus.folders}")
    if shard_megabytes <= 0:
        raise UserError(f"shard_megabytes must be positive, but is {shard_megabytes}")


FORMATS = {"webdataset": write_shards, "shar": write_shar, "parquet": write_parquet}


def _write_shard(corpus: Corpus, path: Path, first: int, max_bytes: float) -> None:
    """Utterances from `first` on, until the shard is full; at least one."""
    import soundfile

    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for index in range(first, len(corpus)):
            row = asdict(corpus.utterances[index])
            del row["start_sample"], row["audio"]
            flac = io.BytesIO()
            soundfile.write(flac, corpus.samples(index), corpus.sample_rate, format="FLAC")
            facts = json.dumps(row, ensure_ascii=False).encode(errors="replace")
            for suffix, data in (("flac", flac.getvalue()), ("json", facts)):
                member = tarfile.TarInfo(f"{index:08d}.{suffix}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
            if archive.offset >= max_bytes:
                return


def _places(path: Path) -> list[tuple[int, int]]:
    """First byte and bytes of each FLAC file in a shard."""
    with tarfile.open(path, "r:") as archive:
        return [(each.offset_data, each.size) for each in archive if each.name.endswith(".flac")]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m uslm_recipes.shards", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="a corpus folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards")
    parser.add_argument("--megabytes", type=float, default=500.0, help="size of a shard (500)")
    parser.add_argument(
        "--format", choices=FORMATS, default="webdataset", help="layout of the shards (webdataset)"
    )
    given = parser.parse_args(arguments)

    def action() -> None:
        corpus = Corpus.open(given.corpus)
        _check(corpus, given.megabytes)
        number = FORMATS[given.format](corpus, given.out, shard_megabytes=given.megabytes)
        print(f"{number} shards of {len(corpus)} utterances, {corpus.hours:.2f} h, in {given.out}")

    return run_command("shards", action)


if __name__ == "__main__":
    raise SystemExit(main())
