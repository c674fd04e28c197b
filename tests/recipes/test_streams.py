"""Moshi's recipe at `tiny` size: rows, resuming, what it leaves, mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

from uslm.systems.moshi.folder import load_conversational
from uslm.systems.moshi.model import MoshiLM
from uslm.systems.moshi.session import MoshiSession
from uslm.systems.moshi.text_stream import spoken_tokens
from uslm.systems.moshi.tiny import tiny_moshi
from uslm.systems.registry import load_model
from uslm_recipes.config import load_config
from uslm_recipes.data.alignments import align
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.encoding import encode_corpus
from uslm_recipes.data.rows.stream import SPACE, StreamRows, silence
from uslm_recipes.data.tokens import TokenCorpus
from uslm_recipes.train.streams import StreamsRecipe, export_system, main
from uslm_tokenizer.codecs.unit_codec.model import UnitCodec
from uslm_tokenizer.registry import load_tokenizer


@pytest.fixture(scope="session")
def codec(material: Path) -> Path:
    """A codec with random weights, and the tokens that it makes of the corpus."""
    out = material.parent / "streams_codec"
    with FileLock(f"{out}.lock"):
        if not (out / "tokens").exists():
            torch.manual_seed(0)
            made = UnitCodec(UnitCodec.tiny_config()).eval()
            made.save_pretrained(out / "model")
            encode_corpus(made, Corpus.open(material / "corpus"), out / "tokens")
    return out


def settings(material: Path, codec: Path, *more: str) -> list[str]:
    return [
        f"corpus=[{material / 'corpus'}]",
        f"tokens=[{codec / 'tokens' / '0'}]",
        f"tokenizer={codec / 'model'}",
        "model.codebook_size=32",
        *more,
    ]


def arguments(material: Path, codec: Path, out: Path, *more: str) -> list[str]:
    given = settings(material, codec, *more)
    return ["--config", "tiny", "--out", str(out), *(w for o in given for w in ("--set", o))]


def records(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = (run / "log.jsonl").read_text("utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["kind"] == kind]


@pytest.fixture(scope="session")
def finished(material: Path, codec: Path) -> Path:
    out = material.parent / "streams"
    with FileLock(f"{out}.lock"):
        if not (out / "model").exists():
            assert main(arguments(material, codec, out)) == 0
    return out


def test_it_leaves_a_model(finished: Path) -> None:
    assert isinstance(load_model(finished / "model"), MoshiLM)
    card = (finished / "model" / "README.md").read_text("utf-8")
    assert "# moshi_lm" in card and "LibriSpeech" in card
    losses = [record["loss"] for record in records(finished, "train")]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    values = records(finished, "valid")[-1]
    assert values["loss"] == pytest.approx(values["text"] + values["codes"])


def test_a_resumed_run_ends_with_the_same_weights(
    material: Path, codec: Path, finished: Path, tmp_path: Path
) -> None:
    given = arguments(material, codec, tmp_path, "loop.save_every_minutes=1e-9")
    assert main([*given, "--stop-after-minutes", "1e-4"]) == 0
    assert not (tmp_path / "model").exists()
    assert main([*given, "--resume"]) == 0
    whole = (finished / "model" / "model.safetensors").read_bytes()
    assert whole == (tmp_path / "model" / "model.safetensors").read_bytes()


def test_a_row_is_what_was_said_and_heard(material: Path, codec: Path, tmp_path: Path) -> None:
    recipe = load_config(StreamsRecipe, "tiny", settings(material, codec), recipe="train_streams")
    corpus = Corpus.open(recipe.corpus)
    tokens = TokenCorpus.open(corpus, recipe.tokens)
    loaded = load_tokenizer(recipe.tokenizer)
    assert isinstance(loaded, UnitCodec)
    alignments = align(corpus, tokens, loaded.units, np.arange(12), tmp_path)
    quiet = silence(loaded)
    rows = StreamRows(corpus, tokens, alignments, recipe.model, quiet, tail_frames=25)
    [index] = [i for i in range(12) if i in alignments and rows.fits(i)][:1]
    partner = next(i for i in range(12) if corpus.speakers[i] != corpus.speakers[index])
    own, partner_codes = tokens.codes(index), tokens.codes(partner)
    before, spoken = partner_codes.shape[1], own.shape[1]
    row = rows.row(index, partner)
    assert row.shape == (7, before + spoken + 25)
    assert torch.equal(row[1:4, before:-25], own[:3])
    assert torch.equal(row[4:, :before], partner_codes[:3])
    assert bool((row[1:4, :before] == quiet[:3]).all())
    assert bool((row[4:, before:] == quiet[:3]).all())
    found = spoken_tokens(row[0], pad_id=53, end_pad_id=54)
    text = [symbol for symbol in corpus.text_ids[index].tolist() if symbol != SPACE]
    assert [token for _, token in found] == text
    alone = rows.row(index, None)
    assert torch.equal(alone, torch.cat([row[:4, before:], alone[4:]]))
    first = next(iter(rows.words(index)))
    assert found[0][0] == int(first.start_seconds * rows.frame_rate) + before
    draws = [rows.partner_of(index, range(12), np.random.default_rng(s)) for s in range(30)]
    speakers = {None if d is None else corpus.speakers[d] for d in draws}
    assert speakers == {None, corpus.speakers[partner]}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.codebook_size=16", "model.codebook_size must be 32, that of the tokens"),
        ("model.num_codebooks=9", "model.num_codebooks must be at most"),
        ("model.pad_id=5", "model.pad_id must be beyond the 53 phonemes, but is 5"),
        ("tokenizer=''", "tokenizer must name the codec"),
        ("dialogue_share=1.5", r"dialogue_share must be in \[0, 1\], but is 1.5"),
        ("model.num_user_codebooks=0", "dialogue_share must be 0 where model.num_user_codebooks"),
    ],
)
def test_what_does_not_fit_is_named(
    material: Path,
    codec: Path,
    tmp_path: Path,
    override: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import re

    assert main(arguments(material, codec, tmp_path, override)) == 1
    assert re.search(message, capsys.readouterr().err)


def test_with_a_codec_that_streams_a_folder_is_left_that_converses(
    finished: Path, tmp_path: Path
) -> None:
    model, codec = tiny_moshi()
    run: Any = SimpleNamespace(out=tmp_path, rank=SimpleNamespace(is_main=True, barrier=list))
    model.save_pretrained(tmp_path / "model")
    export_system(run, codec)
    loaded, its_codec = load_conversational(tmp_path / "system")
    session = MoshiSession(loaded, its_codec, torch.Generator().manual_seed(0))
    session.push(torch.zeros(1, session.frame_samples))
    assert not (finished / "system").exists(), "that codec does not stream"
