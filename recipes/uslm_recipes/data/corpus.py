"""Reads corpus folders that `uslm-prepare` wrote; audio is mapped, not loaded."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from uslm_recipes.data.corpus_format import (
    AUDIO_FILE,
    FORMAT,
    FULL_SCALE,
    HEADER_FILE,
    UTTERANCES_FILE,
    Utterance,
)
from uslm_tokenizer.errors import MissingResource, UserError


class Corpus:
    """Utterances of one or several corpus folders, numbered from 0; audio is read when asked."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)
        self.headers = [_read_header(folder) for folder in folders]
        self.sample_rate = _common_sample_rate(self.headers, folders)
        self.utterances: list[Utterance] = []
        parts: list[int] = []
        for part, folder in enumerate(folders):
            with (folder / UTTERANCES_FILE).open(encoding="utf-8") as lines:
                rows = [Utterance.from_json(line) for line in lines]
            self.utterances += rows
            parts += [part] * len(rows)
        self.part = np.array(parts, dtype=np.int64)
        self.num_samples = np.array([row.num_samples for row in self.utterances], dtype=np.int64)
        self.text_ids = [np.array(row.text_ids, dtype=np.int64) for row in self.utterances]
        self.speakers = [row.speaker for row in self.utterances]
        self.split = np.array([row.split for row in self.utterances], dtype=np.str_)
        self._audio = [_map_audio(folder) for folder in folders]
        self._check_audio()

    @classmethod
    def open(cls, folders: str | Path | Sequence[str | Path]) -> Corpus:
        """Open one corpus folder, or join several in the given order."""
        if isinstance(folders, (str, Path)):
            folders = [folders]
        if not folders:
            raise UserError("a corpus needs at least one folder")
        return cls([Path(folder) for folder in folders])

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.utterances)

    @property
    def hours(self) -> float:
        return float(self.num_samples.sum()) / self.sample_rate / 3600

    @property
    def seconds(self) -> NDArray[np.float64]:
        return self.num_samples / self.sample_rate

    def part_indices(self, part: int) -> NDArray[np.int64]:
        """Numbers of the utterances that come from folder `part`."""
        return np.flatnonzero(self.part == part)

    def samples(self, index: int, start: int = 0, stop: int | None = None) -> NDArray[np.int16]:
        """Samples start..stop of one utterance as they lie on disk, not copied."""
        row = self.utterances[index]
        stop = row.num_samples if stop is None else min(stop, row.num_samples)
        audio = self._audio[int(self.part[index])]
        piece: NDArray[np.int16] = audio[row.start_sample + start : row.start_sample + stop]
        return piece

    def waveform(self, index: int, start: int = 0, stop: int | None = None) -> Float[Tensor, n]:
        """Samples start..stop of one utterance, in [-1, 1]."""
        piece = self.samples(index, start, stop).astype(np.float32)
        return torch.from_numpy(piece).div_(FULL_SCALE)

    def select(
        self,
        *,
        split: str | None = None,
        with_text: bool = False,
        min_seconds: float = 0.0,
        max_seconds: float = float("inf"),
        sources: Collection[str] | None = None,
        languages: Collection[str] | None = None,
    ) -> NDArray[np.int64]:
        """Numbers of the utterances that fit every condition, in order."""
        seconds = self.seconds
        keep = (seconds >= min_seconds) & (seconds <= max_seconds)
        if split is not None:
            keep &= self.split == split
        if with_text:
            keep &= np.array([len(ids) > 0 for ids in self.text_ids], dtype=bool)
        if sources is not None:
            keep &= np.array([row.source in sources for row in self.utterances], dtype=bool)
        if languages is not None:
            keep &= np.array([row.language in languages for row in self.utterances], dtype=bool)
        return np.flatnonzero(keep)

    def _check_audio(self) -> None:
        for part, (folder, audio) in enumerate(zip(self.folders, self._audio, strict=True)):
            rows = self.part_indices(part)
            needed = max(
                (self.utterances[i].start_sample + self.num_samples[i] for i in rows), default=0
            )
            if needed > len(audio):
                raise UserError(
                    f"{folder / AUDIO_FILE} has {len(audio)} samples, but its utterances need "
                    f"{needed}; make the corpus again with uslm-prepare"
                )


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / HEADER_FILE
    if not path.is_file():
        raise MissingResource(
            f"{folder} is not a corpus: it has no {HEADER_FILE}; make it with uslm-prepare"
        )
    header: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if header.get("format") != FORMAT:
        raise UserError(
            f"{path} has format {header.get('format')!r}, but this version reads {FORMAT}"
        )
    return header


def _common_sample_rate(headers: Sequence[dict[str, Any]], folders: Sequence[Path]) -> int:
    rates = {int(header["sample_rate"]) for header in headers}
    if len(rates) > 1:
        each = ", ".join(f"{f}: {h['sample_rate']}" for f, h in zip(folders, headers, strict=True))
        raise UserError(f"corpora to be joined must have one sample rate, but have {each}")
    return rates.pop()


def _map_audio(folder: Path) -> NDArray[np.int16]:
    path = folder / AUDIO_FILE
    if not path.is_file():
        raise MissingResource(f"{path} is missing; make the corpus again with uslm-prepare")
    if path.stat().st_size < 2:  # nothing to map
        return np.zeros(0, dtype=np.int16)
    return np.memmap(path, dtype="<i2", mode="r")
