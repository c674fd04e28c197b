"""Shards and a corpus on a device: another way to keep the same samples."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from uslm_recipes.commands import shards
from uslm_recipes.commands.shards import main, write_shards
from uslm_recipes.data.batches import SecondsBatches, World
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.corpus_format import Utterance
from uslm_recipes.data.corpus_writer import CorpusWriter
from uslm_recipes.data.recording import Recording
from uslm_recipes.data.sources.registry import open_source
from uslm_tokenizer.errors import MissingResource, UserError

NUMBER = 10


def write_corpus(folder: Path, seed: int = 0) -> Path:
    """Noise, so that no two utterances are alike."""
    random = np.random.default_rng(seed)
    with CorpusWriter(folder, sample_rate=16_000) as writer:
        for i in range(NUMBER):
            samples = random.integers(-32768, 32768, 320 * (i + 3)).astype(np.int16)
            row = Utterance(
                id=f"u/{i}",
                source="u",
                audio="",
                speaker=f"u/{i % 2}",
                language="en",
                text=f"Text {i}.",
                phonemes="ab",
                text_ids=(1, 2),
                split="train",
                start_sample=writer.next_sample,
                num_samples=len(samples),
            )
            writer.add(row, samples)
        writer.finish()
    return folder


@pytest.fixture
def mapped(tmp_path: Path) -> Corpus:
    return Corpus.open(write_corpus(tmp_path / "corpus"))


def same(one: Corpus, other: Corpus) -> None:
    """Every sample and every segment of the two is equal."""
    assert one.utterances == other.utterances and len(one) > 0
    for index in range(len(one)):
        np.testing.assert_array_equal(one.samples(index), other.samples(index))
        for start, stop in ((0, None), (100, 500), (900, 99_999), (99_999, None)):
            assert one.waveform(index, start, stop).equal(other.waveform(index, start, stop))
    indices, starts = np.array([3, 0, 3]), np.array([5, 0, 960])
    assert one.crops(indices, starts, 640).equal(other.crops(indices, starts, 640))


def test_shards_hold_the_same_samples(tmp_path: Path, mapped: Corpus) -> None:
    arguments = ["--corpus", str(tmp_path / "corpus"), "--out", str(tmp_path / "shards")]
    assert main([*arguments, "--megabytes", "0.01"]) == 0
    sharded = Corpus.open(tmp_path / "shards")
    same(mapped, sharded)
    assert sharded.shards is not None and sharded.shards.max() > 2 and mapped.shards is None
    assert sharded.headers == mapped.headers  # tokens of one fit the other
    both = Corpus.open([tmp_path / "corpus", tmp_path / "shards"])
    np.testing.assert_array_equal(both.samples(NUMBER + 2), mapped.samples(2))
    assert both.shards is not None
    assert both.shards.tolist() == [0] * NUMBER + (sharded.shards + 1).tolist()


def test_shards_are_laid_out_as_webdataset(tmp_path: Path, mapped: Corpus) -> None:
    write_shards(mapped, tmp_path / "shards")
    with tarfile.open(tmp_path / "shards/shard-000000.tar") as archive:
        assert archive.getnames()[:3] == ["00000000.flac", "00000000.json", "00000001.flac"]
        facts = archive.extractfile("00000001.json")
        assert facts is not None and json.load(facts)["text"] == "Text 1."
    found = list(open_source(str(tmp_path / "shards")))
    assert [each.id for each in found if isinstance(each, Recording)] == [
        each.id for each in mapped
    ]


def test_a_stopped_run_goes_on_at_its_shard(
    tmp_path: Path, mapped: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = shards._write_shard
    firsts: list[int] = []

    def stopping(corpus: Corpus, path: Path, first: int, max_bytes: float) -> None:
        write(corpus, path, first, max_bytes)
        if len(firsts) == 2:
            raise KeyboardInterrupt
        firsts.append(first)

    monkeypatch.setattr(shards, "_write_shard", stopping)
    with pytest.raises(KeyboardInterrupt):
        write_shards(mapped, tmp_path / "shards", shard_megabytes=0.01)
    assert not (tmp_path / "shards").exists()
    done = firsts[:]
    firsts[:] = [-1, -1, -1]
    write_shards(mapped, tmp_path / "shards", shard_megabytes=0.01)
    assert firsts[3] > done[-1]  # only what was not done
    same(mapped, Corpus.open(tmp_path / "shards"))


def test_damaged_shards_are_told(tmp_path: Path, mapped: Corpus) -> None:
    write_shards(mapped, tmp_path / "shards", shard_megabytes=0.01)
    path = tmp_path / "shards/shard-000001.tar"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"shard-000001.tar has 2000 bytes, but needs \d+"):
        Corpus.open(tmp_path / "shards")
    path.unlink()
    with pytest.raises(MissingResource, match=r"shard-000001.tar is missing"):
        Corpus.open(tmp_path / "shards")
    with pytest.raises(UserError, match="positive"):
        write_shards(mapped, tmp_path / "other", shard_megabytes=0)


@pytest.mark.parametrize("sharded", [False, True])
def test_a_corpus_on_a_device_holds_the_same_samples(
    tmp_path: Path, mapped: Corpus, sharded: bool
) -> None:
    folders = [tmp_path / "corpus", write_corpus(tmp_path / "other", seed=1)]
    if sharded:
        write_shards(mapped, tmp_path / "shards", shard_megabytes=0.01)
        folders[0] = tmp_path / "shards"
    resident = Corpus.open(folders, device="cpu")
    same(resident, Corpus.open([tmp_path / "corpus", tmp_path / "other"]))
    assert resident.waveform(0).device == torch.device("cpu")


def test_a_corpus_that_is_too_big_for_its_device_is_told(
    mapped: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 2000))
    with pytest.raises(UserError, match=r"the corpus needs 0.0 GB, but cuda has 0.0 GB left"):
        mapped.to("cuda")


def test_batches_go_from_shard_to_shard() -> None:
    random = np.random.default_rng(0)
    seconds, groups = random.uniform(1, 9, 200), random.integers(0, 20, 200)
    world = [World(rank, 2) for rank in range(2)]
    ranks = [
        SecondsBatches(seconds, 30, seed=1, groups=groups, groups_at_once=4, world=each)
        for each in world
    ]
    for _ in range(2):
        train_batch = [next(rank) for _ in range(len(ranks[0])) for rank in ranks]
        assert set(np.concatenate(train_batch).tolist()) == set(range(200))
        met: list[int] = []
        for batch in train_batch[:-1]:  # the last may be a repeated one
            assert len(batch) * seconds[batch].max() <= 30
            window = frozenset(groups[batch].tolist())
            met += [group for group in window if group not in met[-8:]]
        assert len(met) == 20  # none is come back to
    whole = SecondsBatches(seconds, 30, seed=1, groups=groups)
    for _ in range(30):
        next(whole)
    resumed = SecondsBatches(seconds, 30, seed=1, groups=groups)
    resumed.load_state_dict(whole.state_dict())
    assert next(whole).tolist() == next(resumed).tolist()
