"""A corpus becomes tokens, once; a run that was stopped goes on where it was."""

import json
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from uslm_recipes.data.batches import pad_waveforms
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.shard import WHOLE, Shard, shards
from uslm_recipes.data.tokens import (
    CODES_FILE,
    INDICES_FILE,
    STARTS_FILE,
    TokenCorpus,
    TokenHeader,
    TokenWriter,
    read_header,
)
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import EnvironmentProblem, UserError
from uslm_tokenizer.nn.precision import fast_dtype
from uslm_tokenizer.weight_hash import earlier_hash_of_tokens, weight_hash


def encode_corpus(
    tokenizer: AudioTokenizer,
    corpus: Corpus,
    folder: Path,
    *,
    seconds_per_batch: float = 120.0,
    precision: torch.dtype | None = None,
    seconds_between_commits: float = 20.0,
) -> TokenCorpus:
    """Tokens of every utterance below `folder`, one sub-folder a corpus; those there are kept.

    `precision` is what the device is fast in unless given. An interrupted run loses what it made
    since its last commit, and no more.
    """
    encode_shard(
        tokenizer, corpus, folder, WHOLE, seconds_per_batch=seconds_per_batch,
        precision=precision, seconds_between_commits=seconds_between_commits,
    )  # fmt: skip
    return TokenCorpus.open(corpus, [folder / str(number) for number in range(len(corpus.folders))])


def encode_shard(
    tokenizer: AudioTokenizer,
    corpus: Corpus,
    folder: Path,
    shard: Shard,
    *,
    seconds_per_batch: float = 120.0,
    precision: torch.dtype | None = None,
    seconds_between_commits: float = 20.0,
) -> None:
    """As `encode_corpus`, a share of each corpus; `merge_shards` makes the whole of all shares.

    Batches are those of the whole, so the codes are, too: `seconds_per_batch` must be one and the
    same for all shares.
    """
    if seconds_per_batch <= 0:
        raise UserError(f"seconds_per_batch must be positive, but is {seconds_per_batch}")
    mark = weight_hash(tokenizer=tokenizer)
    marks = (mark, earlier_hash_of_tokens(tokenizer))
    for number, corpus_folder in enumerate(corpus.folders):
        part, whole = Corpus.open(corpus_folder), folder / str(number)
        target = whole if shard.count == 1 else shard.place(whole)
        if _is_made(whole, part, marks) or _is_made(target, part, marks):
            continue
        _encode(
            tokenizer, part, target, mark, shard, seconds_per_batch, precision,
            seconds_between_commits,
        )  # fmt: skip


def merge_shards(corpus: Corpus, folder: Path, count: int) -> TokenCorpus:
    """The tokens that one run would have made, of `count` shares; these are removed then.

    Raises MissingResource if some are not there yet, UserError if they do not belong together.
    """
    if count < 1:
        raise UserError(f"the number of shards must be 1 or more, but is {count}")
    for number, corpus_folder in enumerate(corpus.folders):
        part, whole = Corpus.open(corpus_folder), folder / str(number)
        places = [shard.place(whole) for shard in shards(count)]
        if whole.is_dir() and not any(place.is_dir() for place in places):
            continue  # merged before
        headers = [read_header(place) for place in places]
        described = {replace(header, shard="") for header in headers}
        if len(described) > 1 or headers[0].corpus != part.headers[0]["sha"]:
            raise UserError(
                f"the shards of {whole} are not of one tokenizer and of this corpus; encode those "
                "anew that are not"
            )
        _merge(part, whole, places, headers[0])
        for place in places:
            shutil.rmtree(place)
    return TokenCorpus.open(corpus, [folder / str(number) for number in range(len(corpus.folders))])


def _merge(corpus: Corpus, whole: Path, places: Sequence[Path], header: TokenHeader) -> None:
    described = asdict(header)
    for name in ("corpus", "shard", "format"):
        del described[name]
    with TokenWriter(whole, corpus, **described) as writer:
        for place in places:
            codes = np.load(place / CODES_FILE, mmap_mode="r")
            starts, indices = (np.load(place / name) for name in (STARTS_FILE, INDICES_FILE))
            for index, start, stop in zip(indices, starts[:-1], starts[1:], strict=True):
                writer.write(int(index), torch.from_numpy(codes[:, start:stop].astype(np.int64)))


def _is_made(folder: Path, corpus: Corpus, marks: Collection[str]) -> bool:
    header = folder / "tokens.json"
    if not header.is_file():
        return False
    made = json.loads(header.read_text("utf-8"))
    return bool(made["tokenizer"] in marks and made["corpus"] == corpus.headers[0]["sha"])


@torch.no_grad()
def _encode(
    tokenizer: AudioTokenizer,
    corpus: Corpus,
    folder: Path,
    mark: str,
    shard: Shard,
    seconds_per_batch: float,
    precision: torch.dtype | None,
    seconds_between_commits: float,
) -> None:
    tokenizer.eval()
    device = tokenizer.device
    dtype = precision or fast_dtype(device)
    batches = shard.of(_batches(corpus, int(seconds_per_batch * corpus.sample_rate)))
    is_whole = shard.count == 1
    chosen = np.array(sorted(index for batch in batches for index in batch), dtype=np.int64)
    with TokenWriter(
        folder,
        corpus,
        tokenizer=mark,
        num_codebooks=tokenizer.num_codebooks,
        codebook_size=tokenizer.codebook_size,
        hop_length=tokenizer.hop_length,
        pitch_codebook=tokenizer.pitch_codebook,
        num_pitches=tokenizer.num_pitches,
        shard=None if is_whole else shard,
        indices=None if is_whole else chosen,
    ) as writer:
        missing = set(writer.missing().tolist())
        committed = time.monotonic()
        for batch in batches:
            if missing.isdisjoint(batch):  # done by a run that was stopped
                continue
            waveforms, lengths = pad_waveforms([corpus.waveform(i) for i in batch])
            with (
                out_of_memory_told(seconds_per_batch),
                torch.autocast(device.type, dtype, enabled=dtype != torch.float32),
            ):
                codes = tokenizer.encode(waveforms.to(device), lengths.to(device))
            for index, row in zip(batch, codes, strict=True):
                writer.write(index, row)
            if time.monotonic() - committed >= seconds_between_commits:
                writer.commit()
                committed = time.monotonic()


def _batches(corpus: Corpus, limit: int) -> list[list[int]]:
    """All utterances, the longest first, so that a batch that is too big for the device is met at
    once; at most `limit` samples, padding too, at a time."""
    order = sorted(range(len(corpus)), key=lambda i: int(corpus.num_samples[i]))
    batches = []
    while order:
        longest = int(corpus.num_samples[order[-1]])
        batches.append([order.pop() for _ in range(min(len(order), max(1, limit // longest)))])
    return batches


@contextmanager
def out_of_memory_told(seconds_per_batch: float) -> Iterator[None]:
    """A device that is too small for a batch becomes an error that says what to do."""
    try:
        yield
    except torch.OutOfMemoryError as problem:
        raise EnvironmentProblem(
            f"the device has no memory for batches of {seconds_per_batch:g} s; give a smaller "
            "--seconds-per-batch, and the run goes on where it stopped"
        ) from problem
