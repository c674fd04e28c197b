"""Reads corpus folders that `uslm-prepare` wrote; audio is read when it is asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int16
from numpy.typing import NDArray
from torch import Tensor

from uslm_recipes.data.corpus_audio import open_audio
from uslm_recipes.data.corpus_format import (
    FORMAT,
    FULL_SCALE,
    HEADER_FILE,
    PHONEMES,
    UTTERANCES_FILE,
    TextIds,
    Utterance,
)
from uslm_recipes.data.text_files import load_json, read_text
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.errors import ConfigError, MissingResource, TextError, UserError


class Corpus:
    """Utterances of one or several corpus folders, numbered from 0; audio is read when asked."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)
        self.headers = [_read_header(folder) for folder in folders]
        self.sample_rate: int = _common(self.headers, folders, "sample_rate", "one sample rate")
        self.text_vocab: TextIds = _common(self.headers, folders, "text_ids", "one vocabulary")
        self.utterances: list[Utterance] = []
        parts: list[int] = []
        for part, folder in enumerate(folders):
            rows = _read_utterances(folder)
            self.utterances += rows
            parts += [part] * len(rows)
        self.part = np.array(parts, dtype=np.int64)
        self.num_samples = np.array([row.num_samples for row in self.utterances], dtype=np.int64)
        self.text_ids = [np.array(row.text_ids, dtype=np.int64) for row in self.utterances]
        self.speakers = [row.speaker for row in self.utterances]
        self.split = np.array([row.split for row in self.utterances], dtype=np.str_)
        self._first = np.searchsorted(self.part, np.arange(len(folders)))
        self._starts = np.cumsum(self.num_samples) - self.num_samples
        self._resident: Int16[Tensor, n] | None = None
        self._audio = [open_audio(folder) for folder in folders]
        for part, audio in enumerate(self._audio):
            audio.check([self.utterances[i] for i in self.part_indices(part)])

    @classmethod
    def open(
        cls, folders: str | Path | Sequence[str | Path], *, device: torch.device | str | None = None
    ) -> Corpus:
        """Open one corpus folder, or join several in the given order.

        With a device every sample is held there.
        """
        if isinstance(folders, (str, Path)):
            folders = [folders]
        if not folders:
            raise UserError("a corpus needs at least one folder")
        corpus = cls([Path(folder) for folder in folders])
        return corpus if device is None else corpus.to(device)

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

    @property
    def shards(self) -> NDArray[np.int64] | None:
        """The shard of each utterance, numbered on through the folders; None without shards.

        For `SecondsBatches(groups=...)`: those of a shard are read together.
        """
        if not any(audio.shards is not None for audio in self._audio):
            return None
        numbers, first = [], 0
        for part, audio in enumerate(self._audio):
            none = np.zeros(int((self.part == part).sum()), dtype=np.int64)
            numbers.append(first + (none if audio.shards is None else audio.shards))
            first = int(numbers[-1].max(initial=first - 1)) + 1
        return np.concatenate(numbers)

    def samples(self, index: int, start: int = 0, stop: int | None = None) -> NDArray[np.int16]:
        """Samples start..stop of one utterance as they lie on disk, not copied."""
        row = self.utterances[index]
        stop = row.num_samples if stop is None else min(stop, row.num_samples)
        part = int(self.part[index])
        number = index - int(self._first[part])
        return self._audio[part].read(number, row, min(start, stop), stop)

    def waveform(self, index: int, start: int = 0, stop: int | None = None) -> Float[Tensor, n]:
        """Samples start..stop of one utterance, in [-1, 1], on the device the corpus is on."""
        if self._resident is None:
            segment = self.samples(index, start, stop).astype(np.float32)
            return torch.from_numpy(segment).div_(FULL_SCALE)
        length = int(self.num_samples[index])
        first, stop = int(self._starts[index]), length if stop is None else min(stop, length)
        return self._resident[first + min(start, stop) : first + stop].float().div_(FULL_SCALE)

    def crops(
        self, indices: NDArray[np.int64], starts: NDArray[np.int64], num_samples: int
    ) -> Float[Tensor, "b 1 n"]:
        """Segments of one length, side by side; each must lie inside its utterance."""
        if self._resident is None:
            places = zip(indices.tolist(), starts.tolist(), strict=True)
            segments = [self.waveform(i, start, start + num_samples) for i, start in places]
            return torch.stack(segments)[:, None]
        first = torch.from_numpy(self._starts[indices] + starts).to(self._resident.device)
        offsets = torch.arange(num_samples, device=first.device)
        return self._resident[first[:, None] + offsets][:, None].float().div_(FULL_SCALE)

    def to(self, device: torch.device | str) -> Corpus:
        """Hold every sample on the device, as one int16 tensor: 115 MB an hour at 16 kHz.

        Batches are then cut out of it there, and nothing is read or copied any more.
        """
        device = torch.device(device)
        needed = 2 * int(self.num_samples.sum())
        room = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
        if room is not None and needed > room:
            raise UserError(
                f"the corpus needs {needed / 1e9:.1f} GB, but {device} has {room / 1e9:.1f} GB "
                "left; leave it on the disk, or prepare it with --limit"
            )
        resident = torch.empty(needed // 2, dtype=torch.int16, device=device)
        for index, (start, length) in enumerate(zip(self._starts, self.num_samples, strict=True)):
            samples = np.array(self.samples(index), dtype=np.int16)
            resident[int(start) : int(start + length)] = torch.from_numpy(samples)
        self._resident = resident
        return self

    def check_phonemes(self, what: str, advice: str) -> None:
        """Raise ConfigError if the text ids are of something else."""
        if self.text_vocab != PHONEMES:
            raise ConfigError(
                f"{what} are of phonemes, but the texts of {self.folders[0]} are in subwords "
                f"({self.text_vocab}); {advice}"
            )

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


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / HEADER_FILE
    if not path.is_file():
        raise MissingResource(
            f"{folder} is not a corpus: it has no {HEADER_FILE}; make it with uslm-prepare"
        )
    try:
        header = load_json(read_text(path))
    except TextError as problem:
        raise UserError(f"{path} {problem}; make the corpus again with uslm-prepare") from problem
    if header.get("format") != FORMAT:
        raise UserError(
            f"{path} has format {header.get('format')!r}, but this version reads {FORMAT}"
        )
    if type(header.get("sample_rate")) is not int or not isinstance(header.get("sha"), str):
        raise UserError(f"{path} must name `sample_rate` and `sha`; make it with uslm-prepare")
    try:
        header["text_ids"] = from_dict(TextIds, header.get("text_ids", {}), where="text_ids")
    except ConfigError as problem:
        raise UserError(f"{path}: {problem}; make the corpus again with uslm-prepare") from problem
    return header


def _read_utterances(folder: Path) -> list[Utterance]:
    path, rows = folder / UTTERANCES_FILE, []
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                rows.append(Utterance.from_json(line))  # noqa: PERF401 (a message counts them)
    except FileNotFoundError as problem:
        raise MissingResource(f"{path} is missing; make the corpus again") from problem
    except (ValueError, TypeError, KeyError, RecursionError) as problem:
        raise UserError(
            f"{path}:{len(rows) + 1} is not a line of a corpus ({problem}); make the corpus again "
            "with uslm-prepare"
        ) from problem
    return rows


def _common(headers: Sequence[dict[str, Any]], folders: Sequence[Path], key: str, what: str) -> Any:
    """Value that all headers have of `key`."""
    said = [header[key] for header in headers]
    if len(set(said)) > 1:
        each = ", ".join(f"{folder}: {value}" for folder, value in zip(folders, said, strict=True))
        raise UserError(f"corpora to be joined must have {what}, but have {each}")
    return said[0]
