"""Corpora and their tokens: joined, selected, and tied to each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.corpus_format import AUDIO_FILE, HEADER_FILE, Utterance
from uslm_recipes.data.corpus_writer import CorpusWriter
from uslm_recipes.data.tokens import TokenCorpus, TokenWriter
from uslm_tokenizer.errors import MissingResource, UserError

HOP = 320


def write_corpus(
    folder: Path, frames: list[int], *, sample_rate: int = 16_000, **same: str
) -> Path:
    """Utterance i has the value i + 1 in every sample."""
    with CorpusWriter(folder, sample_rate=sample_rate) as writer:
        for i, count in enumerate(frames):
            row = Utterance(
                id=f"u{i}",
                source=same.get("source", "a"),
                audio="",
                speaker=f"s{i % 2}",
                language=same.get("language", "en"),
                text="",
                phonemes="",
                text_ids=(1, 2) if i % 2 else (),
                split="test" if i == 0 else "train",
                start_sample=writer.next_sample,
                num_samples=count * HOP,
            )
            writer.add(row, np.full(count * HOP, i + 1, dtype=np.int16))
        writer.finish([])
    return folder


def write_tokens(corpus: Corpus, folder: Path, tokenizer: str = "t") -> None:
    settings = {"num_codebooks": 2, "codebook_size": 1024, "hop_length": HOP}
    with TokenWriter(folder, corpus, tokenizer=tokenizer, **settings) as writer:  # type: ignore[arg-type]
        for index in reversed(range(len(corpus))):
            frames = int(corpus.num_samples[index]) // HOP
            padded = torch.full((2, frames + 3), 1000 + index)
            padded[:, frames:] = 7
            writer.write(index, padded)


def test_joined_corpora_are_numbered_on(tmp_path: Path) -> None:
    folders = [write_corpus(tmp_path / "a", [2, 3]), write_corpus(tmp_path / "b", [4, 1, 5])]
    corpus = Corpus.open(folders)
    assert len(corpus) == 5 and corpus.num_samples.tolist() == [640, 960, 1280, 320, 1600]
    assert corpus.samples(1)[0] == 2 and corpus.samples(4)[-1] == 3
    assert corpus.waveform(2).shape == (1280,) and corpus.waveform(2)[0] == 1 / 32768
    assert corpus.part_indices(1).tolist() == [2, 3, 4]
    assert corpus.seconds.sum() == pytest.approx(corpus.hours * 3600)


def test_a_segment_does_not_reach_into_the_next_utterance(tmp_path: Path) -> None:
    corpus = Corpus.open(write_corpus(tmp_path / "a", [2, 3]))
    assert corpus.samples(0, 600, 10_000).tolist() == [1] * 40


def test_select(tmp_path: Path) -> None:
    folders = [
        write_corpus(tmp_path / "a", [2, 30, 40, 50]),
        write_corpus(tmp_path / "b", [20, 60], source="b", language="de"),
    ]
    corpus = Corpus.open(folders)
    assert corpus.select(split="test").tolist() == [0, 4]
    assert corpus.select(split="train", with_text=True).tolist() == [1, 3, 5]
    assert corpus.select(min_seconds=0.5, max_seconds=0.9).tolist() == [1, 2]
    assert corpus.select(sources={"b"}).tolist() == [4, 5]
    assert corpus.select(languages={"en"}, split="train").tolist() == [1, 2, 3]
    assert corpus.select(sources=[]).tolist() == []


def test_what_is_no_corpus_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match="uslm-prepare"):
        Corpus.open(tmp_path)
    with pytest.raises(UserError, match="at least one"):
        Corpus.open([])
    folder = write_corpus(tmp_path / "a", [2, 3])
    header = (folder / HEADER_FILE).read_text()
    (folder / HEADER_FILE).write_text(header.replace('"format": 1', '"format": 9'))
    with pytest.raises(UserError, match="format 9"):
        Corpus.open(folder)


def test_cut_audio_is_told(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "a", [2, 3])
    audio = folder / AUDIO_FILE
    audio.write_bytes(audio.read_bytes()[:-2])
    with pytest.raises(UserError, match="1599 samples, but its utterances need 1600"):
        Corpus.open(folder)


def test_rates_cannot_be_mixed(tmp_path: Path) -> None:
    folders = [
        write_corpus(tmp_path / "a", [2]),
        write_corpus(tmp_path / "b", [2], sample_rate=24_000),
    ]
    with pytest.raises(UserError, match="24000"):
        Corpus.open(folders)


def test_tokens_come_back(tmp_path: Path) -> None:
    folders = [write_corpus(tmp_path / "a", [2, 3]), write_corpus(tmp_path / "b", [4, 1])]
    for folder in folders:
        write_tokens(Corpus.open(folder), folder / "tokens")
    corpus = Corpus.open(folders)
    tokens = TokenCorpus.open(corpus)
    assert tokens.num_frames.tolist() == [2, 3, 4, 1]
    for index, value in enumerate([1000, 1001, 1000, 1001]):
        codes = tokens.codes(index)
        assert codes.dtype == torch.int64 and codes.shape == (2, tokens.num_frames[index])
        assert (codes == value).all()
    assert tokens.codes(2, 1, 3).shape == (2, 2)
    assert tokens.header.codebook_size == 1024


def test_tokens_belong_to_their_corpus(tmp_path: Path) -> None:
    first, other = (
        Corpus.open(write_corpus(tmp_path / name, frames))
        for name, frames in (("a", [2, 3]), ("b", [2, 4]))
    )
    write_tokens(first, tmp_path / "tokens")
    TokenCorpus.open(first, tmp_path / "tokens")
    with pytest.raises(UserError, match="another corpus"):
        TokenCorpus.open(other, tmp_path / "tokens")
    with pytest.raises(MissingResource, match="run encode"):
        TokenCorpus.open(first)


def test_unfinished_tokens_leave_nothing(tmp_path: Path) -> None:
    corpus = Corpus.open(write_corpus(tmp_path / "a", [2, 3]))
    before = sorted(tmp_path.iterdir())
    settings = {"num_codebooks": 1, "codebook_size": 8, "hop_length": HOP}
    with (
        pytest.raises(ValueError, match="1 utterances have no tokens"),
        TokenWriter(tmp_path / "tokens", corpus, tokenizer="t", **settings) as writer,  # type: ignore[arg-type]
    ):
        writer.write(0, torch.zeros(1, 2, dtype=torch.int64))
    with (
        pytest.raises(ValueError, match=r"must be \[1, 3\]"),
        TokenWriter(tmp_path / "tokens", corpus, tokenizer="t", **settings) as writer,  # type: ignore[arg-type]
    ):
        writer.write(1, torch.zeros(1, 2, dtype=torch.int64))
    assert sorted(tmp_path.iterdir()) == before
