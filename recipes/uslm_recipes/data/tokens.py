"""Tokens of a corpus, made once by `encode` and mapped by the recipes that train on them.

codes.npy     int16 [k, frames of all utterances]
starts.npy    int64 [utterances + 1], first frame of each utterance
tokens.json   which tokenizer made them, of which corpus
indices.npy   int64 [utterances], of a shard: which ones of the corpus they are
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.partial_folder import PartialFolder, told_when_full, write_whole
from uslm_recipes.data.shard import Shard
from uslm_tokenizer.errors import ConfigError, MissingResource, UserError
from uslm_tokenizer.renames import current_keys

FORMAT = 1
CODES_FILE, STARTS_FILE, HEADER_FILE = "codes.npy", "starts.npy", "tokens.json"
INDICES_FILE = "indices.npy"


@dataclass(frozen=True, kw_only=True)
class TokenHeader:
    """Contents of tokens.json."""

    tokenizer: str
    """Hash of the tokenizer that made the codes."""
    corpus: str
    """`sha` of the corpus folder they were made from."""
    num_codebooks: int
    codebook_size: int
    hop_length: int
    """Samples per frame."""
    pitch_codebook: int | None = None
    """Codebook of the codes that is pitch, where there is one."""
    num_pitches: int = 0
    """Different values of that codebook."""
    shard: str = ""
    """Share of the corpus that they are of, `3/8`; empty: they are of all of it."""
    format: int = FORMAT

    def check_sizes(self, **sizes: int) -> None:
        """ConfigError unless a model's `num_codebooks`, `codebook_size` are those of the codes."""
        for name, size in sizes.items():
            if size != getattr(self, name):
                raise ConfigError(
                    f"model.{name} must be {getattr(self, name)}, that of the tokenizer "
                    f"{self.tokenizer} which made the tokens, but is {size}"
                )


class TokenCorpus:
    """Codes of the utterances of a corpus, under the same numbers."""

    def __init__(self, corpus: Corpus, folders: Sequence[Path]) -> None:
        if len(folders) != len(corpus.folders):
            raise UserError(
                f"the corpus has {len(corpus.folders)} folders, but {len(folders)} token folders "
                "are given"
            )
        self.headers = [read_header(folder) for folder in folders]
        for folder, header, made in zip(folders, self.headers, corpus.headers, strict=True):
            if header.shard:
                raise UserError(
                    f"{folder} holds shard {header.shard} only; merge all of them first"
                )
            if header.corpus != made["sha"]:
                raise UserError(f"{folder} holds tokens of another corpus; run encode again")
        if len({(h.tokenizer, h.num_codebooks) for h in self.headers}) > 1:
            raise UserError("the token folders were made by different tokenizers; run encode again")
        self.header = self.headers[0]
        self._codes = [np.load(folder / CODES_FILE, mmap_mode="r") for folder in folders]
        starts = [np.load(folder / STARTS_FILE) for folder in folders]
        self._part = corpus.part
        self._start = np.concatenate([each[:-1] for each in starts])
        self.num_frames: NDArray[np.int64] = np.concatenate([np.diff(each) for each in starts])
        if len(self.num_frames) != len(corpus):
            raise UserError(
                f"{folders} hold {len(self.num_frames)} utterances, the corpus {len(corpus)}"
            )

    @classmethod
    def open(
        cls, corpus: Corpus, folders: str | Path | Sequence[str | Path] | None = None
    ) -> TokenCorpus:
        """Open the token folder of each corpus folder; by default `tokens` inside it."""
        if folders is None:
            folders = [folder / "tokens" for folder in corpus.folders]
        if isinstance(folders, (str, Path)):
            folders = [folders]
        return cls(corpus, [Path(folder) for folder in folders])

    def __len__(self) -> int:
        return len(self.num_frames)

    def codes(self, index: int, start: int = 0, stop: int | None = None) -> Int[Tensor, "k t"]:
        """Frames start..stop of one utterance."""
        frames = int(self.num_frames[index])
        stop = frames if stop is None else min(stop, frames)
        first = int(self._start[index])
        segment = self._codes[int(self._part[index])][:, first + start : first + stop]
        return torch.from_numpy(segment.astype(np.int64))


class TokenWriter:
    """Writes the tokens of one corpus folder, utterances in any order; whole or not at all.

    with TokenWriter(folder, corpus, tokenizer=sha, num_codebooks=8, ...) as writer:
        for index in writer.missing():
            writer.write(index, codes)
            writer.commit()  # now and then: an interrupted run goes on from here
    """

    def __init__(
        self,
        folder: str | Path,
        corpus: Corpus,
        *,
        tokenizer: str,
        num_codebooks: int,
        codebook_size: int,
        hop_length: int,
        pitch_codebook: int | None = None,
        num_pitches: int = 0,
        shard: Shard | None = None,
        indices: NDArray[np.int64] | None = None,
    ) -> None:
        """`indices` are the utterances that a `shard` holds, in order; None: all."""
        if len(corpus.folders) != 1:
            raise UserError("tokens are written for one corpus folder at a time")
        if codebook_size > np.iinfo(np.int16).max + 1:
            raise UserError(f"codebook_size must be at most 32768, but is {codebook_size}")
        self.folder = Path(folder)
        self.header = TokenHeader(
            tokenizer=tokenizer,
            corpus=corpus.headers[0]["sha"],
            num_codebooks=num_codebooks,
            codebook_size=codebook_size,
            hop_length=hop_length,
            pitch_codebook=pitch_codebook,
            num_pitches=num_pitches,
            shard="" if shard is None else str(shard),
        )
        self.indices = np.arange(len(corpus)) if indices is None else indices
        frames = -(-corpus.num_samples[self.indices] // hop_length)
        self.starts = np.concatenate([[0], np.cumsum(frames)]).astype(np.int64)
        self._part = PartialFolder(self.folder)
        self._key = json.dumps(asdict(self.header))
        self._missing = np.ones(len(self.indices), dtype=bool)

    def __enter__(self) -> TokenWriter:
        state = self._part.__enter__().read_state(self._key)
        path = self._part.path / CODES_FILE
        if state is not None:
            packed = np.frombuffer(bytes.fromhex(state["missing"]), dtype=np.uint8)
            self._missing = np.unpackbits(packed, count=len(self._missing)).astype(bool)
            self._codes = np.load(path, mmap_mode="r+")
            return self
        shape = (self.header.num_codebooks, int(self.starts[-1]))
        try:
            with told_when_full(self._part.path, "nothing is lost"):
                self._codes = np.lib.format.open_memmap(
                    path, mode="w+", dtype=np.int16, shape=shape
                )
                _take_room(path)
        except BaseException as problem:
            self._part.__exit__(type(problem), problem, None)
            raise
        return self

    def missing(self) -> NDArray[np.int64]:
        """Numbers of the utterances that have no tokens yet."""
        return self.indices[self._missing]

    def write(self, index: int, codes: Int[Tensor, "k t"]) -> None:
        """Store one utterance; `codes` may carry padding frames at its end."""
        place = int(np.searchsorted(self.indices, index))
        start, stop = int(self.starts[place]), int(self.starts[place + 1])
        if codes.shape[0] != self.header.num_codebooks or codes.shape[1] < stop - start:
            raise ValueError(
                f"codes of utterance {index} must be "
                f"[{self.header.num_codebooks}, {stop - start}], but are {list(codes.shape)}"
            )
        self._codes[:, start:stop] = codes[:, : stop - start].cpu().numpy()
        self._missing[place] = False

    def commit(self) -> None:
        """Put what was written onto the disk, so that an interrupted run goes on after it."""
        self._codes.flush()
        missing = np.packbits(self._missing).tobytes().hex()
        with told_when_full(self._part.path, "what was committed is kept"):
            self._part.write_state(self._key, {"missing": missing})

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            del self._codes
            self._part.__exit__(kind, error, trace)

    def _finish(self) -> None:
        if self._missing.any():
            raise ValueError(f"{int(self._missing.sum())} utterances have no tokens yet")
        self._codes.flush()
        with told_when_full(self._part.path, "what was committed is kept"):
            np.save(self._part.path / STARTS_FILE, self.starts)
            if self.header.shard:
                np.save(self._part.path / INDICES_FILE, self.indices)
            write_whole(self._part.path / HEADER_FILE, json.dumps(asdict(self.header), indent=2))
            self._part.finish()


def _take_room(path: Path) -> None:
    """A mapped file without room on the disk would kill the process when it is written to."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def read_header(folder: Path) -> TokenHeader:
    path = folder / HEADER_FILE
    if not path.is_file():
        raise MissingResource(
            f"{folder} holds no tokens: it has no {HEADER_FILE}; run encode first"
        )
    data = json.loads(path.read_text(encoding="utf-8"))
    if data.get("format") != FORMAT:
        raise UserError(
            f"{path} has format {data.get('format')!r}, but this version reads {FORMAT}"
        )
    return TokenHeader(**current_keys("TokenHeader", data))
