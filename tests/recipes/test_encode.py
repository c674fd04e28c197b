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
from uslm_recipes.data.encoding import encode_corpus, encode_shard, merge_shards
from uslm_recipes.data.shard import Shard, shards
from uslm_recipes.data.tokens import TokenCorpus, TokenHeader
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer
from uslm_tokenizer.errors import ConfigError, EnvironmentProblem, MissingResource, UserError

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


def run_shard(tokenizer: UnitTokenizer, corpus: Corpus, out: Path, shard: Shard) -> None:
    encode_shard(
        tokenizer, corpus, out, shard, seconds_per_batch=1.0, precision=torch.float32,
        seconds_between_commits=0,
    )  # fmt: skip


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("count", [2, 3, 9])  # nine: more than there are batches
def test_shards_make_the_bytes_of_one_run(
    tmp_path: Path, corpus: Corpus, tokenizer: UnitTokenizer, count: int
) -> None:
    run(tokenizer, corpus, tmp_path / "whole")
    for shard in reversed(shards(count)):
        run_shard(tokenizer, corpus, tmp_path / "tokens", shard)
    merge_shards(corpus, tmp_path / "tokens", count)
    assert files_of(tmp_path / "tokens/0") == files_of(tmp_path / "whole/0")
    assert [path.name for path in (tmp_path / "tokens").iterdir()] == ["0"]
    again = merge_shards(corpus, tmp_path / "tokens", count)
    assert len(again) == len(corpus)


def test_a_stopped_shard_goes_on(
    tmp_path: Path, corpus: Corpus, tokenizer: UnitTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = shards(2)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        failing_at(tokenizer, patch, 1, KeyboardInterrupt())
        run_shard(tokenizer, corpus, tmp_path / "tokens", first)
    run_shard(tokenizer, corpus, tmp_path / "tokens", second)
    with pytest.raises(MissingResource, match=r"0\.shard-0-of-2 holds no tokens"):
        merge_shards(corpus, tmp_path / "tokens", 2)
    sizes = failing_at(tokenizer, monkeypatch, 99, KeyboardInterrupt())
    run_shard(tokenizer, corpus, tmp_path / "tokens", first)
    assert sum(sizes) < len(corpus) / 2
    run(tokenizer, corpus, tmp_path / "whole")
    merge_shards(corpus, tmp_path / "tokens", 2)
    assert files_of(tmp_path / "tokens/0") == files_of(tmp_path / "whole/0")


def test_shards_that_do_not_belong_together_are_refused(
    tmp_path: Path, corpus: Corpus, tokenizer: UnitTokenizer
) -> None:
    first, second = shards(2)
    run_shard(tokenizer, corpus, tmp_path / "tokens", first)
    with torch.no_grad():
        next(tokenizer.parameters()).add_(1.0)
    run_shard(tokenizer, corpus, tmp_path / "tokens", second)
    with pytest.raises(UserError, match="not of one tokenizer"):
        merge_shards(corpus, tmp_path / "tokens", 2)
    assert len(list((tmp_path / "tokens").iterdir())) == 2
    with pytest.raises(UserError, match="holds shard 0/2 only"):
        TokenCorpus.open(corpus, tmp_path / "tokens/0.shard-0-of-2")


def test_no_shards_at_all_are_refused(tmp_path: Path, corpus: Corpus) -> None:
    with pytest.raises(UserError, match="1 or more, but is 0"):
        merge_shards(corpus, tmp_path / "tokens", 0)


@pytest.mark.parametrize("text", ["8/8", "1/0", "-1/2", "3", "a/b", "1/2/3"])
def test_a_shard_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="a shard must be"):
        Shard.parse(text)


def test_a_model_of_codes_of_another_size_is_refused() -> None:
    header = TokenHeader(
        tokenizer="abc", corpus="def", num_codebooks=4, codebook_size=32, hop_length=HOP
    )
    header.check_sizes(num_codebooks=4, codebook_size=32)
    for size in (16, 48):
        wanted = rf"model\.codebook_size must be 32, .* tokenizer abc .* but is {size}"
        with pytest.raises(ConfigError, match=wanted):
            header.check_sizes(num_codebooks=4, codebook_size=size)


def test_the_command_shares_and_merges(
    tmp_path: Path, corpus: Corpus, tokenizer: UnitTokenizer, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    common = ["--corpus", str(corpus.folders[0]), "--tokenizer", str(tmp_path / "tokenizer")]
    for index in range(2):
        out = ["--out", str(tmp_path / "tokens"), "--shard", f"{index}/2"]
        assert main([*common, *out]) == 0
    assert "--merge 2" in capsys.readouterr().out
    assert main([*common, "--out", str(tmp_path / "tokens"), "--merge", "2"]) == 0
    assert main([*common, "--out", str(tmp_path / "whole")]) == 0
    assert files_of(tmp_path / "tokens/0") == files_of(tmp_path / "whole/0")


def test_the_audio_is_removed_once_the_tokens_are_whole(
    tmp_path: Path, corpus: Corpus, tokenizer: UnitTokenizer, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    folder = corpus.folders[0]
    common = ["--corpus", str(folder), "--tokenizer", str(tmp_path / "tokenizer"), "--remove-audio"]
    out = ["--out", str(tmp_path / "tokens")]
    assert main([*common, *out, "--shard", "0/2"]) == 1
    assert main([*common, *out, "--merge", "2"]) == 2  # nothing is whole
    assert (folder / "audio.s16").is_file()
    assert main([*common, *out]) == 0
    assert "GB of audio removed" in capsys.readouterr().out
    kept = {"audio.removed", "corpus.json", "rejected.jsonl", "utterances.jsonl"}
    assert {path.name for path in folder.iterdir()} == kept
    again = Corpus.open(folder)
    assert len(TokenCorpus.open(again, tmp_path / "tokens/0")) == len(corpus) == len(again)
    assert main([*common, *out]) == 0  # nothing is left to do
    with pytest.raises(MissingResource, match=r"audio of .*corpus was removed once its tokens"):
        again.waveform(0)
    (folder / "audio.removed").unlink()
    with pytest.raises(MissingResource, match=r"audio\.s16 is missing"):
        Corpus.open(folder)
