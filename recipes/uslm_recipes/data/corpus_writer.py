"""Writes a corpus folder beside its place and moves it there when it is whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
from numpy.typing import NDArray

from uslm_recipes.data.corpus_format import (
    AUDIO_FILE,
    FORMAT,
    HEADER_FILE,
    PHONEMES,
    REJECTED_FILE,
    UTTERANCES_FILE,
    TextIds,
    Utterance,
)
from uslm_recipes.data.partial_folder import (
    PartialFolder,
    open_at,
    told_when_full,
    write_whole,
)
from uslm_recipes.data.recording import Rejected


@dataclass(frozen=True, kw_only=True)
class CorpusSummary:
    """Contents of a corpus."""

    utterances: int
    with_text: int
    """Utterances that have text ids."""
    speakers: int
    hours: float
    hours_by_source: dict[str, float]
    hours_by_split: dict[str, float]
    rejected: int


DATA_FILES = (AUDIO_FILE, UTTERANCES_FILE, REJECTED_FILE)


@dataclass(frozen=True, kw_only=True)
class Done:
    """Progress of a run through its sources."""

    num_found: int = 0
    mark: str = ""
    """Of what was found: other sources have another."""


class CorpusWriter:
    """Takes utterances one after another.

    with CorpusWriter(folder, sample_rate=16_000, key="...") as writer:
        ...  # go on after writer.done
        writer.add(utterance, samples)
        writer.commit(rejected, Done(...))  # what was added so far survives a kill
        summary = writer.finish(rejected)

    Left without `finish` it keeps what was committed, for the next writer with the same key, and
    the former corpus in its place. A UserError leaves nothing: it would be met again.
    """

    def __init__(
        self, folder: Path, *, sample_rate: int, key: str = "", vocab: TextIds = PHONEMES
    ) -> None:
        self.folder = folder
        self.sample_rate = sample_rate
        self.vocab = vocab
        self.key = key
        self.next_sample = 0
        self.done = Done()
        """What an interrupted run has done already."""
        self._part = PartialFolder(folder)
        self._audio_hash = hashlib.sha256()
        self._utterances: list[Utterance] = []
        self._lines: list[str] = []
        self.rejected: list[Rejected] = []
        """What was left out so far, by an interrupted run too."""
        self._files: dict[str, IO[bytes]] = {}

    def __enter__(self) -> CorpusWriter:
        state = self._part.__enter__().read_state(self.key)
        for name in DATA_FILES:
            size = state["sizes"][name] if state else 0
            self._files[name] = open_at(self._part.path / name, size)
        if state is not None:
            self.done = Done(num_found=state["num_found"], mark=state["mark"])
            with (self._part.path / REJECTED_FILE).open(encoding="utf-8") as lines:
                self.rejected = [Rejected(**json.loads(line)) for line in lines]
            with (self._part.path / UTTERANCES_FILE).open(encoding="utf-8") as lines:
                self._lines = [line.rstrip("\n") for line in lines]
            self._utterances = [Utterance.from_json(line) for line in self._lines]
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

    def __len__(self) -> int:
        return len(self._utterances)

    def earlier(self) -> Iterator[tuple[Utterance, NDArray[np.int16]]]:
        """Lines of an interrupted run; they must be gone through before anything is added."""
        with (self._part.path / AUDIO_FILE).open("rb") as audio:
            for utterance in self._utterances:
                data = audio.read(2 * utterance.num_samples)
                self._audio_hash.update(data)
                yield utterance, np.frombuffer(data, dtype="<i2")

    def add(self, utterance: Utterance, samples: NDArray[np.int16]) -> None:
        """Append one utterance, which must start at `next_sample`."""
        assert utterance.start_sample == self.next_sample
        assert utterance.num_samples == len(samples)
        data = samples.astype("<i2", copy=False).tobytes()
        line = utterance.to_json()
        with self._disk():
            self._files[AUDIO_FILE].write(data)
            self._files[UTTERANCES_FILE].write(f"{line}\n".encode(errors="replace"))
        self._audio_hash.update(data)
        self._utterances.append(utterance)
        self._lines.append(line)
        self.next_sample += len(samples)

    def reject(self, rejected: Iterable[Rejected]) -> None:
        """Append what is left out."""
        with self._disk():
            self._write_rejected(rejected)

    def commit(self, rejected: Iterable[Rejected], done: Done) -> None:
        """Put what was added onto the disk, so that an interrupted run goes on after it."""
        with self._disk():
            self._write_rejected(rejected)
            for file in self._files.values():
                file.flush()
                os.fsync(file.fileno())
            sizes = {name: file.tell() for name, file in self._files.items()}
            self._part.write_state(self.key, {"sizes": sizes, **asdict(done)})

    def finish(self, rejected: Iterable[Rejected] = ()) -> CorpusSummary:
        """Write the lists and put the folder in its place."""
        with self._disk():
            self._write_rejected(rejected)
            for file in self._files.values():
                file.flush()
                os.fsync(file.fileno())
            summary = self._summary(len(self.rejected))
            header = {
                "format": FORMAT,
                "sample_rate": self.sample_rate,
                **({} if self.vocab == PHONEMES else {"text_ids": asdict(self.vocab)}),
                "sha": self._hash(self._lines),
                **asdict(summary),
            }
            text = json.dumps(header, indent=2, ensure_ascii=False)
            write_whole(self._part.path / HEADER_FILE, f"{text}\n")
            self._part.finish()
        return summary

    def _write_rejected(self, rejected: Iterable[Rejected]) -> None:
        for each in rejected:
            self._files[REJECTED_FILE].write(f"{json.dumps(asdict(each))}\n".encode())
            self.rejected.append(each)

    def _disk(self) -> AbstractContextManager[None]:
        return told_when_full(self._part.path, f"{len(self)} utterances are kept")

    def _hash(self, lines: list[str]) -> str:
        """Of the samples and of all that is said about them."""
        digest = self._audio_hash.copy()
        digest.update("\n".join(lines).encode(errors="replace"))
        return digest.hexdigest()

    def _summary(self, rejected: int) -> CorpusSummary:
        by_source: Counter[str] = Counter()
        by_split: Counter[str] = Counter()
        for each in self._utterances:
            by_source[each.source] += each.num_samples
            by_split[each.split] += each.num_samples
        hour = 3600 * self.sample_rate
        return CorpusSummary(
            utterances=len(self._utterances),
            with_text=sum(bool(each.text_ids) for each in self._utterances),
            speakers=len({each.speaker for each in self._utterances}),
            hours=round(self.next_sample / hour, 4),
            hours_by_source={name: round(n / hour, 4) for name, n in sorted(by_source.items())},
            hours_by_split={name: round(n / hour, 4) for name, n in sorted(by_split.items())},
            rejected=rejected,
        )
