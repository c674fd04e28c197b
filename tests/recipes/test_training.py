"""Each recipe at `tiny` size, after recipes/unit_codec.sh: resuming, samples, cards, errors."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from uslm.systems.two_stage.tiny import speech_like
from uslm_recipes.loop.checkpoint import list_checkpoints
from uslm_recipes.train import ar as train_ar
from uslm_recipes.train import joint
from uslm_recipes.train import nar as train_nar
from uslm_recipes.train import unit_codec as train_codec
from uslm_recipes.train import units as train_units
from uslm_tokenizer.hub import read_description
from uslm_tokenizer.quantize.kmeans import KMeans
from uslm_tokenizer.registry import load_tokenizer
from uslm_tokenizer.weight_hash import weight_hash

MAINS: dict[str, Callable[[list[str]], int]] = {
    "units": train_units.main,
    "codec": train_codec.main,
    "ar": train_ar.main,
    "nar": train_nar.main,
    "joint": joint.main,
}


def settings(*overrides: str) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


def arguments(stage: str, trained: Path, out: Path, *overrides: str) -> list[str]:
    """What recipes/unit_codec.sh gives the stage, and more."""
    corpus, tokens = f"corpus=[{trained / 'corpus'}]", f"tokens=[{trained / 'tokens' / '0'}]"
    codec = trained / "codec" / "model"
    own = {
        "units": [
            f"teacher={trained / 'made_up' / 'whisper'}",
            "teacher_layers=[1,2]",
            "model.teacher_dim=16",
        ],
        "codec": [f"units={trained / 'units' / 'model'}"],
        "ar": [tokens, f"recognizer={codec}", "model.pitch_reach=0"],
        "nar": [tokens, f"tokenizer={codec}"],
        "joint": [tokens, f"tokenizer={codec}", f"acoustic={trained / 'nar' / 'model'}"],
    }
    config = "unit_codec_tiny" if stage in ("nar", "joint") else "tiny"
    return ["--config", config, "--out", str(out), *settings(corpus, *own[stage], *overrides)]


def records(run: Path, kind: str) -> list[dict[str, Any]]:
    """Lines of a run's log."""
    lines = (run / "log.jsonl").read_text("utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["kind"] == kind]


# ---- what a run leaves


def test_the_codebook_is_placed_in_the_middle_of_the_run(trained: Path) -> None:
    tokenizer = load_tokenizer(trained / "units" / "model")
    assert bool(tokenizer.quantizer.initialized)
    codec = load_tokenizer(trained / "codec" / "model")
    assert read_description(trained / "codec" / "model")["config"]["units"]["dim"] == 32
    waveform = torch.randn(1, 1, 6400) * 0.1
    assert torch.equal(codec.encode(waveform)[:, :1], tokenizer.encode(waveform))


def test_tokens_are_named_by_the_weights_alone(trained: Path) -> None:
    """A field that a later version adds to a config makes no token stale."""
    tokenizer = load_tokenizer(trained / "units" / "model")
    named = weight_hash(tokenizer=tokenizer)
    tokenizer.config = replace(tokenizer.config, dropout=0.7)
    assert weight_hash(tokenizer=tokenizer) == named
    with torch.no_grad():
        next(tokenizer.parameters())[0] += 1
    assert weight_hash(tokenizer=tokenizer) != named


def test_tuning_moves_the_decoder_and_leaves_the_tokens(trained: Path) -> None:
    before = load_tokenizer(trained / "codec" / "model")
    after = load_tokenizer(trained / "joint" / "codec")
    waveform = speech_like(1.0, seed=3).waveform[None]
    codes = before.encode(waveform)
    assert torch.equal(after.encode(waveform), codes)
    assert not torch.equal(after.decode(codes), before.decode(codes))


def test_training_lowers_the_loss(trained: Path) -> None:
    """On the same few recordings again and again."""
    for name in MAINS:
        # In the sum of `joint`'s losses the game against a discriminator may hide what is learnt.
        loss = "input" if name == "joint" else "loss"
        losses = [record[loss] for record in records(trained / name, "train")]
        assert np.isfinite(losses).all() and min(losses[1:]) < losses[0]


def test_tuning_brings_both_parts_nearer(trained: Path) -> None:
    """On the same held-out crops, whatever the game against a discriminator does to the sum."""
    first, last = records(trained / "joint", "valid")
    for distance in ("input", "true"):  # of stage 2's prediction, and of the decoder's sound
        assert last[distance] < 0.998 * first[distance]


SAMPLES = {
    "units": {"heard0_alignment.png", "codebook.png", "texts.txt"},
    "codec": {"decoded0_true.wav", "decoded0_made.wav", "decoded0_mel.png", "codebooks.png"},
    "ar": {"texts.txt"},
    "nar": {"filled0_made.wav", "filled0_mel.png", "filled0_codebooks.png"},
    "joint": {"spoken0_true.wav", "spoken0_made.wav", "spoken0_mel.png"},
}


@pytest.mark.parametrize("stage", MAINS)
def test_validation_shows_samples(trained: Path, stage: str) -> None:
    newest = max((trained / stage / "validation").iterdir())
    assert SAMPLES[stage] <= {path.name for path in newest.iterdir()}
    assert all(path.stat().st_size for path in newest.iterdir())


@pytest.mark.parametrize("stage", MAINS)
def test_a_run_in_bf16_trains_and_shows_samples_too(
    trained: Path, stage: str, tmp_path: Path
) -> None:
    more = ("loop.precision=bf16", "loop.steps=3", "loop.validate_every=3", "loop.samples=1")
    assert MAINS[stage](arguments(stage, trained, tmp_path / "run", *more)) == 0
    [folder] = (tmp_path / "run" / "validation").iterdir()
    assert SAMPLES[stage] <= {path.name for path in folder.iterdir()}
    [values] = records(tmp_path / "run", "valid")
    assert all(np.isfinite(value) for value in values.values() if not isinstance(value, str))


@pytest.mark.parametrize("folder", ["units/model", "ar/model", "joint/model", "joint/codec"])
def test_what_is_exported_has_a_card(trained: Path, folder: str) -> None:
    card = (trained / folder / "README.md").read_text("utf-8")
    kind = read_description(trained / folder)["model_type"]
    assert f"# {kind}" in card and "Trained on " in card and "LibriSpeech" in card
    assert "| dim |" in card or "| units.dim |" in card


# ---- resuming


@pytest.mark.parametrize("stage", MAINS)
def test_a_resumed_run_ends_with_the_same_weights(
    trained: Path, stage: str, tmp_path: Path
) -> None:
    """In two segments instead of one: the second half begins from the checkpoint of the first."""
    given = arguments(stage, trained, tmp_path, "loop.save_every_minutes=1e-9", "loop.samples=0")
    # A segment that is over at once stops after its first step.
    assert MAINS[stage]([*given, "--stop-after-minutes", "1e-4"]) == 0
    assert not (tmp_path / "model").exists()
    assert MAINS[stage]([*given, "--resume"]) == 0
    whole = (trained / stage / "model" / "model.safetensors").read_bytes()
    assert whole == (tmp_path / "model" / "model.safetensors").read_bytes()


def test_centroids_that_cannot_wait_are_placed_before_the_first_step_only(
    trained: Path, tmp_path: Path
) -> None:
    more = ["model.quantizer={dim: 8, codebook_size: 32, iterations: 5}", "loop.samples=0"]
    given = arguments("units", trained, tmp_path, *more, "loop.save_every_minutes=1e-9")
    assert MAINS["units"](given) == 0
    whole = load_tokenizer(tmp_path / "model")
    assert isinstance(whole.quantizer, KMeans)
    shutil.rmtree(tmp_path / "model")
    shutil.rmtree(list_checkpoints(tmp_path / "checkpoints")[0])  # as if stopped a step earlier
    assert MAINS["units"]([*given, "--resume"]) == 0
    again = load_tokenizer(tmp_path / "model").state_dict()
    # Latents have a variance of 1: their means lie within sqrt(8), and not all 32 of noise do.
    assert float(whole.quantizer.centroids.norm(dim=1).max()) <= 8**0.5 + 1e-3
    assert all(torch.equal(each, again[name]) for name, each in whole.state_dict().items())


def test_a_thread_that_reads_ahead_changes_nothing(trained: Path, tmp_path: Path) -> None:
    given = arguments("ar", trained, tmp_path, "loop.read_ahead=3", "loop.save_every_minutes=1e-9")
    assert MAINS["ar"]([*given, "--stop-after-minutes", "1e-4"]) == 0
    assert MAINS["ar"]([*given, "--resume"]) == 0
    whole = (trained / "ar" / "model" / "model.safetensors").read_bytes()
    assert whole == (tmp_path / "model" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("stage", ["units", "codec", "joint"])
def test_a_corpus_on_the_device_changes_nothing(trained: Path, stage: str, tmp_path: Path) -> None:
    more = ["corpus_on_device=true", "loop.samples=0", "loop.validate_every=0"]
    assert MAINS[stage](arguments(stage, trained, tmp_path, *more)) == 0
    whole = (trained / stage / "model" / "model.safetensors").read_bytes()
    assert whole == (tmp_path / "model" / "model.safetensors").read_bytes()


def test_a_checkpoint_of_another_config_is_refused_by_its_key(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments("ar", trained, tmp_path, "loop.samples=0")
    assert MAINS["ar"]([*given, "--steps", "1"]) == 0
    assert MAINS["ar"]([*given, "--resume", "--set", "model.dim=64", "--steps", "2"]) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "model.dim = 32, but now it is 64" in message and "accept_changes" in message
    more = ["--set", "loop.learning_rate=1e-4", "--steps", "2", "--resume"]
    assert MAINS["ar"]([*given, *more]) == 1
    assert MAINS["ar"]([*given, *more, "--set", "loop.accept_changes=true"]) == 0
    assert list_checkpoints(tmp_path / "checkpoints")[0].name == "step-00000002"


# ---- variants


def test_stage_2_can_also_learn_classes(trained: Path, tmp_path: Path) -> None:
    given = arguments(
        "nar",
        trained,
        tmp_path,
        "kind=acoustic_lm",
        "model={num_codebooks: 4, codebook_size: 32, dim: 32, num_heads: 2, num_layers: 2, "
        "codebook_groups: [1, 2]}",
    )
    assert MAINS["nar"](given) == 0
    assert read_description(tmp_path / "model")["model_type"] == "acoustic_lm"


def test_a_stage_that_only_attends_trains_too(trained: Path, tmp_path: Path) -> None:
    given = arguments(
        "ar",
        trained,
        tmp_path,
        "kind=semantic_lm",
        "model={codebook_size: 32, dim: 32, num_heads: 2, num_layers: 2}",
        "prompted_share=1.0",
        "recognizer=''",
    )
    assert MAINS["ar"](given) == 0
    assert read_description(tmp_path / "model")["model_type"] == "semantic_lm"


def test_utterances_that_share_rows_train_the_same(trained: Path, tmp_path: Path) -> None:
    more = ["packed_frames=500", "loop.samples=0", "loop.ema_decay=null", "loop.steps=2"]
    plain = arguments("nar", trained, tmp_path / "plain", *more[1:])
    assert MAINS["nar"](plain) == 0
    assert MAINS["nar"](arguments("nar", trained, tmp_path / "packed", *more)) == 0
    losses = [
        [r["loss"] for r in records(tmp_path / name, "train")] for name in ("plain", "packed")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    plain_padding, packed_padding = (
        records(tmp_path / name, "train")[-1]["padding"] for name in ("plain", "packed")
    )
    assert packed_padding <= plain_padding


@pytest.mark.parametrize("stage", ["codec", "joint"])
def test_games_of_two_models_accumulate_gradients(
    trained: Path, stage: str, tmp_path: Path
) -> None:
    more = ["loop.gradient_accumulation=2", "loop.steps=3", "discriminator.start_fraction=0.0"]
    assert MAINS[stage](arguments(stage, trained, tmp_path, *more)) == 0
    assert np.isfinite(records(tmp_path, "train")[0]["discriminator"])


# ---- mistakes


def test_a_teacher_of_another_width_is_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments("units", trained, tmp_path, "model.teacher_dim=512")
    assert MAINS["units"](given) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "model.teacher_dim must be 16" in message and "512" in message


def test_a_model_that_needs_alignment_asks_for_a_recogniser(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert MAINS["ar"](arguments("ar", trained, tmp_path, "recognizer=''")) == 1
    assert "recognizer must name a trained tokenizer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stage", "sets", "wanted"),
    [
        ("ar", ["model.codebook_size=16"], r"model\.codebook_size must be 32, .* but is 16"),
        ("nar", ["model.codebook_size=48"], r"model\.codebook_size must be 32, .* but is 48"),
        ("nar", ["model.num_codebooks=3"], r"model\.num_codebooks must be 4, .* but is 3"),
        (
            "nar",
            ["kind=acoustic_lm", "model={num_codebooks: 4, codebook_groups: [1, 1]}"],
            r"codebook_groups must be .* add up to 3, .* but are \[1, 1\]",
        ),
    ],
)
def test_a_model_of_another_tokenizers_codes_is_refused(
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    stage: str,
    sets: list[str],
    wanted: str,
) -> None:
    assert MAINS[stage](arguments(stage, trained, tmp_path, *sets)) == 1
    assert re.search(wanted, capsys.readouterr().err)
    assert not (tmp_path / "checkpoints").exists()
