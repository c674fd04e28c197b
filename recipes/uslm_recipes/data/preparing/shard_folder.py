"""One of the shards that many machines make of a corpus: what its slices hold, to be merged.

audio.s16     samples of its utterances end to end, as in a corpus
found.jsonl   one line a slice, an utterance or a recording that is left out, in their order
shard.json    which shard it is, and of what; there only once the shard is whole
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from uslm_recipes.data.corpus_format import AUDIO_FILE, PHONEMES, TextIds, Utterance
from uslm_recipes.data.corpus_writer import Done
from uslm_recipes.data.partial_folder import (
    PartialFolder,
    open_at,
    told_when_full,
    write_whole,
)
from uslm_recipes.data.recording import Rejected
from uslm_recipes.data.text_files import load_json, read_text
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.errors import ConfigError, TextError, UserError

FOUND_FILE, SHARD_FILE = "found.jsonl", "shard.json"
FILES = (AUDIO_FILE, FOUND_FILE)


@dataclass(frozen=True, kw_only=True)
class ShardHeader:
    """Contents of shard.json."""

    shard: str
    """Such as `3/8`."""
    key: str
    """Of the settings of the corpus."""
    mark: str
    """Of all that was found, by any shard: other sources have another."""
    num_found: int
    num_slices: int
    """Of all shards."""
    sample_rate: int
    num_copies: int
    """Copies that follow each utterance which is trained on."""
    text_ids: TextIds = PHONEMES


@dataclass(frozen=True, kw_only=True)
class ShardUtterance:
    """An utterance of a shard, which starts where the one before it ends."""

    utterance: Utterance
    where: str
    """File and line that name its recording."""


class ShardWriter:
    """Takes slices one after another; goes on after `done` where a run was stopped.

    Its life is that of a `CorpusWriter`.
    """

    def __init__(self, folder: Path, *, key: str) -> None:
        self.folder = folder
        self.key = key
        self.next_sample = 0
        self.done = Done()
        """What a run that was stopped has done already."""
        self._part = PartialFolder(folder)
        self._files: dict[str, IO[bytes]] = {}

    def __enter__(self) -> ShardWriter:
        state = self._part.__enter__().read_state(self.key)
        for name in FILES:
            self._files[name] = open_at(
                self._part.path / name, state["sizes"][name] if state else 0
            )
        if state is not None:
            self.done = Done(num_found=state["num_found"], mark=state["mark"])
            self.next_sample = state["sizes"][AUDIO_FILE] // 2
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            with suppress(OSError):  # a full disk has been told already
                file.close()
        self._part.__exit__(kind, error, trace)

    def begin_slice(self, number: int) -> None:
        """Begin a slice: all that comes now belongs to it."""
        self._line({"slice": number})

    def add(self, utterance: Utterance, samples: NDArray[np.int16], where: str) -> None:
        """Append one utterance, which must start at `next_sample`."""
        assert utterance.start_sample == self.next_sample
        with self._disk():
            self._files[AUDIO_FILE].write(samples.astype("<i2", copy=False).tobytes())
        self._line({"utterance": asdict(utterance), "where": where})
        self.next_sample += len(samples)

    def reject(self, rejected: Rejected) -> None:
        """Append what is left out."""
        self._line({"rejected": asdict(rejected)})

    def commit(self, done: Done) -> None:
        """Put what was added onto the disk, so that an interrupted run goes on after it."""
        with self._disk():
            self._to_disk()
            sizes = {name: file.tell() for name, file in self._files.items()}
            self._part.write_state(self.key, {"sizes": sizes, **asdict(done)})

    def finish(self, header: ShardHeader) -> None:
        """Put the folder in its place."""
        with self._disk():
            self._to_disk()
            text = json.dumps(asdict(header), indent=2, ensure_ascii=False)
            write_whole(self._part.path / SHARD_FILE, f"{text}\n")
            self._part.finish()

    def _line(self, content: object) -> None:
        with self._disk():
            self._files[FOUND_FILE].write(f"{json.dumps(content)}\n".encode())

    def _to_disk(self) -> None:
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())

    def _disk(self) -> AbstractContextManager[None]:
        return told_when_full(self._part.path, "what was committed is kept")


def read_shard_header(folder: Path) -> ShardHeader | None:
    """Header of a shard; None where the shard is not there, or not whole."""
    path = folder / SHARD_FILE
    if not path.is_file():
        return None
    try:
        return from_dict(ShardHeader, load_json(read_text(path)), where=SHARD_FILE)
    except (TextError, ConfigError) as problem:
        raise UserError(f"{path}: {problem}; delete {folder}, and make it again") from problem


def read_slices(folder: Path) -> Iterator[tuple[int, list[ShardUtterance | Rejected]]]:
    """Number and content of each slice of a shard, in their order."""
    number: int | None = None
    content: list[ShardUtterance | Rejected] = []
    with (folder / FOUND_FILE).open(encoding="utf-8") as lines:
        for line in lines:
            data = json.loads(line)
            if "slice" not in data:
                content.append(_parsed(data))
                continue
            if number is not None:
                yield number, content
            number, content = data["slice"], []
    if number is not None:
        yield number, content


def read_shard_samples(folder: Path, utterance: Utterance) -> NDArray[np.int16]:
    """The samples of an utterance of a shard."""
    path = folder / AUDIO_FILE
    with path.open("rb") as audio:
        audio.seek(2 * utterance.start_sample)
        data = audio.read(2 * utterance.num_samples)
    if len(data) < 2 * utterance.num_samples:
        raise UserError(f"{path} is cut off; delete {folder}, and make it again")
    return np.frombuffer(data, dtype="<i2")


def _parsed(data: dict[str, Any]) -> ShardUtterance | Rejected:
    if "rejected" in data:
        return Rejected(**data["rejected"])
    utterance = Utterance.from_data(data["utterance"])
    return ShardUtterance(utterance=utterance, where=data["where"])
