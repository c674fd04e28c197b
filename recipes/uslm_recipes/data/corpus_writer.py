"""Writes a corpus folder beside its place and moves it there when it is whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable
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
    REJECTED_FILE,
    UTTERANCES_FILE,
    Utterance,
)
from uslm_recipes.data.recording import Rejected


@dataclass(frozen=True, kw_only=True)
class CorpusSummary:
    """What a corpus holds."""

    utterances: int
    with_text: int
    """Utterances that have text ids."""
    speakers: int
    hours: float
    hours_by_source: dict[str, float]
    hours_by_split: dict[str, float]
    rejected: int


class CorpusWriter:
    """Takes utterances one after another.

    with CorpusWriter(folder, sample_rate=16_000) as writer:
        writer.add(utterance, samples)
        summary = writer.finish(rejected)

    Left without `finish`, it leaves nothing behind and the former corpus in place.
    """

    def __init__(self, folder: Path, *, sample_rate: int) -> None:
        self.folder = folder
        self.sample_rate = sample_rate
        self.next_sample = 0
        self._temporary = folder.with_name(f".{folder.name}.{os.getpid()}.part")
        self._audio_hash = hashlib.sha256()
        self._utterances: list[Utterance] = []
        self._audio: IO[bytes]

    def __enter__(self) -> CorpusWriter:
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir(parents=True)
        self._audio = (self._temporary / AUDIO_FILE).open("wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._audio.close()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def __len__(self) -> int:
        return len(self._utterances)

    def add(self, utterance: Utterance, samples: NDArray[np.int16]) -> None:
        """Append one utterance, which must start at `next_sample`."""
        assert utterance.start_sample == self.next_sample
        assert utterance.num_samples == len(samples)
        data = samples.astype("<i2", copy=False).tobytes()
        self._audio.write(data)
        self._audio_hash.update(data)
        self._utterances.append(utterance)
        self.next_sample += len(samples)

    def finish(self, rejected: Iterable[Rejected]) -> CorpusSummary:
        """Write the lists and put the folder in its place."""
        rejected = list(rejected)
        self._audio.flush()
        os.fsync(self._audio.fileno())
        lines = [utterance.to_json() for utterance in self._utterances]
        _write(self._temporary / UTTERANCES_FILE, lines)
        _write(self._temporary / REJECTED_FILE, [json.dumps(asdict(each)) for each in rejected])
        summary = self._summary(len(rejected))
        header = {
            "format": FORMAT,
            "sample_rate": self.sample_rate,
            "sha": self._hash(lines),
            **asdict(summary),
        }
        _write(self._temporary / HEADER_FILE, [json.dumps(header, indent=2, ensure_ascii=False)])
        _replace_folder(self._temporary, self.folder)
        return summary

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


def _write(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", errors="replace") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())


def _replace_folder(new: Path, place: Path) -> None:
    if not place.exists():
        new.rename(place)
        return
    old = place.with_name(f".{place.name}.{os.getpid()}.old")
    place.rename(old)
    new.rename(place)
    shutil.rmtree(old)
