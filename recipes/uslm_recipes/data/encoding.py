"""A corpus becomes tokens, once; a run that was stopped goes on where it was."""

import json
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from uslm_recipes.data.batches import pad_waveforms
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.tokens import TokenCorpus, TokenWriter
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
    if seconds_per_batch <= 0:
        raise UserError(f"seconds_per_batch must be positive, but is {seconds_per_batch}")
    mark = weight_hash(tokenizer=tokenizer)
    marks = (mark, earlier_hash_of_tokens(tokenizer))
    folders = []
    for number, corpus_folder in enumerate(corpus.folders):
        part = Corpus.open(corpus_folder)
        target = folder / str(number)
        folders.append(target)
        if not _is_made(target, part, marks):
            _encode(
                tokenizer, part, target, mark, seconds_per_batch, precision, seconds_between_commits
            )
    return TokenCorpus.open(corpus, folders)


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
    seconds_per_batch: float,
    precision: torch.dtype | None,
    seconds_between_commits: float,
) -> None:
    tokenizer.eval()
    device = tokenizer.device
    dtype = precision or fast_dtype(device)
    limit = int(seconds_per_batch * corpus.sample_rate)
    with TokenWriter(
        folder,
        corpus,
        tokenizer=mark,
        num_codebooks=tokenizer.num_codebooks,
        codebook_size=tokenizer.codebook_size,
        hop_length=tokenizer.hop_length,
        pitch_codebook=tokenizer.pitch_codebook,
        num_pitches=tokenizer.num_pitches,
    ) as writer:
        # The longest first, so that a batch that is too big for the device is met at once. What is
        # done already is the beginning of this order: the batches stay the same.
        order = sorted(writer.missing().tolist(), key=lambda i: int(corpus.num_samples[i]))
        committed = time.monotonic()
        while order:
            longest = int(corpus.num_samples[order[-1]])
            batch = [order.pop() for _ in range(min(len(order), max(1, limit // longest)))]
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
