"""Samples of a corpus folder: end to end in one mapped file, or in tar shards.

audio.s16                mapped; nothing is read that is not asked for
shard-000000.tar ...     WebDataset's layout: 00000007.flac beside 00000007.json
shards.npy               int64 [utterances, 3]: shard, first byte and bytes of each .flac
audio.removed            in place of them: tokens were made, and nothing else is wanted
"""

from __future__ import annotations

import io
from pathlib import Path
from tokenize import TokenError
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from uslm_recipes.data.corpus_format import (
    AUDIO_FILE,
    REMOVED_FILE,
    SHARDS_FILE,
    Utterance,
    shard_name,
)
from uslm_recipes.data.partial_folder import write_whole
from uslm_tokenizer.errors import MissingResource, UserError


class CorpusAudio(Protocol):
    """The samples of one folder."""

    @property
    def shards(self) -> NDArray[np.int64] | None:
        """The shard of each utterance: those of one are read together; None without shards."""

    def read(self, number: int, row: Utterance, start: int, stop: int) -> NDArray[np.int16]:
        """Samples start..stop of the utterance with this number in its folder."""

    def check(self, rows: list[Utterance]) -> None:
        """Nothing is cut off."""


def open_audio(folder: Path) -> CorpusAudio:
    """The samples of a corpus folder, whichever way they are kept."""
    if (folder / SHARDS_FILE).is_file():
        return ShardedAudio(folder)
    if (folder / REMOVED_FILE).is_file() and not (folder / AUDIO_FILE).exists():
        return RemovedAudio(folder)
    return MappedAudio(folder)


def remove_audio(folder: Path) -> int:
    """Delete the samples of a corpus, and nothing else; returns how many bytes that were."""
    # First the mark: a folder with neither looks damaged.
    write_whole(folder / REMOVED_FILE, "")
    paths = [folder / SHARDS_FILE, folder / AUDIO_FILE, *sorted(folder.glob("shard-*.tar"))]
    sizes = [path.stat().st_size if path.is_file() else 0 for path in paths]
    for path in paths:
        path.unlink(missing_ok=True)
    return sum(sizes)


class RemovedAudio:
    """Nothing but what is said of the utterances: enough for what reads their tokens."""

    shards: NDArray[np.int64] | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, number: int, row: Utterance, start: int, stop: int) -> NDArray[np.int16]:
        raise MissingResource(
            f"the audio of {self.folder} was removed once its tokens were made; make the corpus "
            "again with uslm-prepare"
        )

    def check(self, rows: list[Utterance]) -> None:
        pass


class MappedAudio:
    """One file of samples."""

    shards: NDArray[np.int64] | None = None

    def __init__(self, folder: Path) -> None:
        self.path = folder / AUDIO_FILE
        if not self.path.is_file():
            raise MissingResource(
                f"{self.path} is missing; make the corpus again with uslm-prepare"
            )
        size = self.path.stat().st_size // 2
        self._samples: NDArray[np.int16] = np.zeros(0, dtype=np.int16)  # nothing cannot be mapped
        if size:
            self._samples = np.memmap(self.path, dtype="<i2", mode="r", shape=(size,))

    def read(self, number: int, row: Utterance, start: int, stop: int) -> NDArray[np.int16]:
        return self._samples[row.start_sample + start : row.start_sample + stop]

    def check(self, rows: list[Utterance]) -> None:
        needed = max((row.start_sample + row.num_samples for row in rows), default=0)
        if needed > len(self._samples):
            raise UserError(
                f"{self.path} has {len(self._samples)} samples, but its utterances need {needed}; "
                "make the corpus again with uslm-prepare"
            )


class ShardedAudio:
    """Tar files of FLAC: half as large, and read shard after shard."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._places = _read_places(folder / SHARDS_FILE)
        self.shards: NDArray[np.int64] = self._places[:, 0]

    def read(self, number: int, row: Utterance, start: int, stop: int) -> NDArray[np.int16]:
        import soundfile

        shard, offset, size = self._places[number].tolist()
        with (self.folder / shard_name(shard)).open("rb") as file:
            file.seek(offset)
            data = file.read(size)
        try:
            with soundfile.SoundFile(io.BytesIO(data)) as sound:
                if start:
                    sound.seek(start)
                samples: NDArray[np.int16] = sound.read(stop - start, dtype="int16")
        except soundfile.SoundFileError as problem:
            samples, reason = np.zeros(0, np.int16), f": {problem}"
        else:
            reason = ""
        if samples.shape != (stop - start,):
            raise UserError(
                f"utterance {row.id!r} in {self.folder / shard_name(shard)} is damaged{reason}; "
                "make the shards again"
            )
        return samples

    def check(self, rows: list[Utterance]) -> None:
        if len(rows) != len(self._places):
            raise UserError(
                f"{self.folder / SHARDS_FILE} names {len(self._places)} utterances, but the corpus "
                f"has {len(rows)}; make the shards again"
            )
        for shard in np.unique(self.shards).tolist():
            path = self.folder / shard_name(shard)
            if not path.is_file():
                raise MissingResource(f"{path} is missing; make the shards again")
            needed = self._places[self.shards == shard, 1:].sum(axis=1).max()
            if path.stat().st_size < needed:
                raise UserError(
                    f"{path} has {path.stat().st_size} bytes, but needs {needed}; "
                    "make the shards again"
                )


DAMAGED_ARRAY = (
    ValueError, TypeError, EOFError, OSError, SyntaxError, TokenError, RecursionError, MemoryError,
    OverflowError,
)  # fmt: skip
"""What NumPy raises for a damaged .npy file: its header is a bit of Python, read in two
ways."""


def _read_places(path: Path) -> NDArray[np.int64]:
    try:
        places: NDArray[np.int64] = np.load(path, allow_pickle=False)
    except DAMAGED_ARRAY as problem:
        raise UserError(f"{path} is damaged ({problem}); make the shards again") from problem
    is_table = isinstance(places, np.ndarray) and places.dtype == np.int64 and places.ndim == 2
    if not is_table or places.shape[1] != 3 or (places < 0).any() or (places >= 2**61).any():
        raise UserError(f"{path} must hold three places for each utterance; make the shards again")
    return places
