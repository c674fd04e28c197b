"""Encoding a corpus: bounded batches, and an interrupted run goes on to the same tokens."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from uslm_recipes.commands.encode import main
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.corpus_format import Utterance
from uslm_recipes.data.corpus_writer import CorpusWriter
from uslm_recipes.data.encoding import encode_corpus
from uslm_recipes.data.tokens import TokenCorpus
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer
from uslm_tokenizer.errors import EnvironmentProblem, UserError

HOP, FRAMES = 320, (30, 12, 25, 40, 18, 22)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Noise of different lengths."""
    random = np.random.default_rng(0)
    with CorpusWriter(tmp_path / "corpus", sample_rate=16_000) as writer:
        for i, frames in enumerate(FRAMES):
            samples = random.integers(-9000, 9000, frames * HOP).astype(np.int16)
            row = Utterance(
                id=str(i),
                source="a",
                audio="",
                speaker="s",
                language="en",
                text="",
                phonemes="",
                text_ids=(),
                split="train",
                start_sample=writer.next_sample,
                num_samples=len(samples),
            )
            writer.add(row, samples)
        writer.finish()
    return Corpus.open(tmp_path / "corpus")


@pytest.fixture
def tokenizer() -> UnitTokenizer:
    torch.manual_seed(0)
    return UnitTokenizer(UnitTokenizer.tiny_config()).eval()


def run(tokenizer: UnitTokenizer, corpus: Corpus, out: Path) -> TokenCorpus:
    return encode_corpus(
        tokenizer, corpus, out, seconds_per_batch=1.0, precision=torch.float32,
        seconds_between_commits=0,
    )  # fmt: skip


def failing_at(
    tokenizer: UnitTokenizer, monkeypatch: pytest.MonkeyPatch, number: int, problem: BaseException
) -> list[int]:
    """The batch of this number fails; how many utterances each batch before it had."""
    encode: Callable[..., Tensor] = tokenizer.encode
    sizes: list[int] = []

    def counted(waveform: Tensor, lengths: Tensor) -> Tensor:
        if len(sizes) == number:
            raise problem
        sizes.append(len(waveform))
        return encode(waveform, lengths)

    monkeypatch.setattr(tokenizer, "encode", counted)
    return sizes


def test_a_stopped_run_goes_on_to_the_same_tokens(
    tmp_path: Path, corpus: Corpus, tokenizer: UnitTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(tokenizer, corpus, tmp_path / "whole")
    for stop in (1, 2):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            failing_at(tokenizer, patch, 1, KeyboardInterrupt())
            run(tokenizer, corpus, tmp_path / "tokens")
        assert not (tmp_path / "tokens/0").exists(), stop
    sizes = failing_at(tokenizer, monkeypatch, 99, KeyboardInterrupt())
    tokens = run(tokenizer, corpus, tmp_path / "tokens")
    assert 0 < sum(sizes) < len(corpus) - 1  # two batches were done before
    for index in range(len(corpus)):
        assert tokens.codes(index).equal(whole.codes(index))
    assert sorted(path.name for path in (tmp_path / "tokens").iterdir()) == ["0"]


def test_another_tokenizer_begins_anew(
    tmp_path: Path, corpus: Corpus, tokenizer: UnitTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        failing_at(tokenizer, patch, 2, KeyboardInterrupt())
        run(tokenizer, corpus, tmp_path / "tokens")
    with torch.no_grad():
        next(tokenizer.parameters()).add_(1.0)
    sizes = failing_at(tokenizer, monkeypatch, 99, KeyboardInterrupt())
    run(tokenizer, corpus, tmp_path / "tokens")
    assert sum(sizes) == len(corpus)


def test_too_little_memory_is_told_and_nothing_is_lost(
    tmp_path: Path, corpus: Corpus, tokenizer: UnitTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(EnvironmentProblem, match="--seconds-per"):
        failing_at(tokenizer, patch, 1, torch.OutOfMemoryError())
        run(tokenizer, corpus, tmp_path / "tokens")
    sizes = failing_at(tokenizer, monkeypatch, 99, KeyboardInterrupt())
    run(tokenizer, corpus, tmp_path / "tokens")
    assert sum(sizes) < len(corpus)
    with pytest.raises(UserError, match="seconds_per_batch must be positive"):
        encode_corpus(tokenizer, corpus, tmp_path / "x", seconds_per_batch=0)


def test_a_full_disk_is_told_before_anything_is_written(
    tmp_path: Path, corpus: Corpus, tokenizer: UnitTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(EnvironmentProblem, match="is full"):
        run(tokenizer, corpus, tmp_path / "tokens")
    assert list((tmp_path / "tokens").iterdir()) == []


@pytest.mark.parametrize("device", ["cuda:99", "nonesuch"])
def test_a_device_that_is_not_there_is_told(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str], device: str
) -> None:
    UnitTokenizer(UnitTokenizer.tiny_config()).save_pretrained(tmp_path / "model")
    folders = ["--corpus", str(corpus.folders[0]), "--out", str(tmp_path / "tokens")]
    assert main([*folders, "--tokenizer", str(tmp_path / "model"), "--device", device]) == 3
    assert f"cannot use device '{device}'" in capsys.readouterr().err
