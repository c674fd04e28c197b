"""The recipe of the source-filter codec at `tiny` size: tokens, resuming, going on from a codec."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

from uslm.systems.two_stage.tiny import speech_like
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.tokens import TokenCorpus
from uslm_recipes.train.source_filter import SourceFilterRecipe, main
from uslm_tokenizer.codecs.source_filter.model import SourceFilterCodec
from uslm_tokenizer.errors import ConfigError


def arguments(trained: Path, out: Path, *overrides: str) -> list[str]:
    given = [
        f"corpus=[{trained / 'corpus'}]",
        f"units={trained / 'units' / 'model'}",
        "codebook_seconds=10",
        *overrides,
    ]
    return ["--config", "tiny", "--out", str(out), *(w for o in given for w in ("--set", o))]


def records(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = (run / "log.jsonl").read_text("utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["kind"] == kind]


@pytest.fixture(scope="session")
def finished(trained: Path) -> Path:
    """A whole run; processes that test side by side share it."""
    out = trained.parent / "source_filter"
    with FileLock(f"{out}.lock"):
        if not (out / "model").exists():
            assert main(arguments(trained, out)) == 0
    return out


def test_it_leaves_a_codec_and_the_tokens_of_its_corpus(trained: Path, finished: Path) -> None:
    codec = SourceFilterCodec.from_pretrained(finished / "model")
    corpus = Corpus.open(trained / "corpus")
    tokens = TokenCorpus.open(corpus, finished / "tokens" / "0")
    waveform = corpus.waveform(3)[None, None]
    codes, made = codec.encode(waveform)[0], tokens.codes(3)
    assert codes.shape == made.shape
    assert torch.equal(codes[1:], made[1:])  # units may be encoded in another precision
    card = (finished / "model" / "README.md").read_text("utf-8")
    assert "# source_filter_codec" in card and "LibriSpeech" in card


def test_codebooks_lie_among_the_mel_frames_and_only_the_decoder_learns(finished: Path) -> None:
    start, end = (SourceFilterCodec.from_pretrained(finished / n) for n in ("start", "model"))
    latents = end.features(speech_like(3.0, seed=1).waveform[None]).latents
    errors = []
    for count in (3, 4, 5):
        end.use_codebooks(count)
        left = end.dequantize(end.quantize(latents)) - latents
        errors.append(float((left.square().mean() / latents.var()).detach()))
    assert 1 > errors[0] > errors[1] > errors[2]
    before, after = start.state_dict(), end.state_dict()
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"decoder"}


def test_training_lowers_the_loss_and_shows_samples(finished: Path) -> None:
    losses = [record["mel"] for record in records(finished, "train")]
    assert np.isfinite(losses).all() and min(losses[1:]) < losses[0]
    assert "discriminator" in records(finished, "train")[-1]
    shown = {path.name for path in max((finished / "validation").iterdir()).iterdir()}
    assert {"decoded0_true.wav", "decoded0_made.wav", "decoded0_mel.png"} <= shown


def test_a_resumed_run_ends_with_the_same_weights(
    trained: Path, finished: Path, tmp_path: Path
) -> None:
    given = arguments(trained, tmp_path, "loop.save_every_minutes=1e-9", "loop.samples=0")
    assert main([*given, "--stop-after-minutes", "1e-4"]) == 0
    assert not (tmp_path / "model").exists()
    assert main([*given, "--resume"]) == 0
    whole = (finished / "model" / "model.safetensors").read_bytes()
    assert whole == (tmp_path / "model" / "model.safetensors").read_bytes()


def test_a_trained_codec_goes_on_with_its_tokens(
    trained: Path, finished: Path, tmp_path: Path
) -> None:
    codec = finished / "model"
    more = (f"trained={codec}", f"tokens=[{finished / 'tokens' / '0'}]", "loop.steps=2")
    assert main(arguments(trained, tmp_path, *more)) == 0
    assert not (tmp_path / "tokens").exists() and not (tmp_path / "start").exists()
    before, after = (SourceFilterCodec.from_pretrained(f) for f in (codec, tmp_path / "model"))
    assert torch.equal(before.mean, after.mean)
    latents, f0 = torch.zeros(1, 5, before.config.latent_dim), torch.full((1, 5), 100.0)
    assert not torch.equal(before.decoder(latents, f0), after.decoder(latents, f0))


def test_mistakes_are_told(
    trained: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="codebook_dropout must be from 0 to 1"):
        SourceFilterRecipe(codebook_dropout=1.5)
    with pytest.raises(ConfigError, match="only with the codec that made them"):
        SourceFilterRecipe(tokens=("runs/tokens/0",))
    other = (f"trained={finished / 'model'}", f"tokens=[{trained / 'tokens' / '0'}]")
    assert main(arguments(trained, tmp_path, *other)) == 1
    assert "tokens must have the 5 codebooks" in capsys.readouterr().err
