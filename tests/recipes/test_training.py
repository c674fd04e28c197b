"""The recipes one after another at toy size: recordings in, a model that speaks out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from uslm.pipeline.testing import speech_like
from uslm.pipeline.tts import ZeroShotTTS
from uslm_recipes import (
    bundle,
    encode,
    prepare,
    train_ar,
    train_codec,
    train_nar,
    train_units,
    tune,
)
from uslm_tokenizer.hub import read_description
from uslm_tokenizer.registry import load_tokenizer

TEXTS = ["Hello there.", "The house stands.", "Seven birds sing.", "Come and see it."]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a prepared corpus of two speakers and a teacher with random weights."""
    root = tmp_path_factory.mktemp("workshop")
    rows = []
    for number in range(16):
        name = f"{number}.wav"
        speech = speech_like(1.2, seed=number).waveform[0].numpy()
        soundfile.write(root / name, speech, 16_000)
        rows.append(
            {
                "audio": name,
                "speaker": f"toy/{number % 2}",
                "text": TEXTS[number % 4],
                "language": "en",
                "split": "test" if number >= 12 else "train",
            }
        )
    manifest = root / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert prepare.main(["--manifest", str(manifest), "--out", str(root / "corpus")]) == 0
    save_teacher(root / "teacher")
    return root


def save_teacher(folder: Path) -> None:
    """A HuBERT of two narrow layers."""
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(0)
    config = HubertConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    HubertModel(config).save_pretrained(folder)


def settings(*overrides: str) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


@pytest.fixture(scope="module")
def trained(workshop: Path) -> Path:
    """All stages run at `tiny` size."""
    corpus = f"corpus=[{workshop / 'corpus'}]"
    tokens = f"tokens=[{workshop / 'tokens' / '0'}]"
    teacher = settings(
        corpus, f"teacher={workshop / 'teacher'}", "teacher_layers=[1,2]", "model.teacher_dim=16"
    )
    tiny = ["--config", "tiny", "--out"]
    assert train_units.main([*tiny, str(workshop / "units"), *teacher]) == 0
    units = f"units={workshop / 'units' / 'model'}"
    assert train_codec.main([*tiny, str(workshop / "codec"), *settings(corpus, units)]) == 0
    codec = str(workshop / "codec" / "model")
    given = ["--corpus", str(workshop / "corpus"), "--tokenizer", codec]
    assert encode.main([*given, "--out", str(workshop / "tokens")]) == 0
    ear = f"recognizer={codec}"
    assert train_ar.main([*tiny, str(workshop / "ar"), *settings(corpus, tokens, ear)]) == 0
    codes = f"tokenizer={codec}"
    assert train_nar.main([*tiny, str(workshop / "nar"), *settings(corpus, tokens, codes)]) == 0
    nar = f"acoustic={workshop / 'nar' / 'model'}"
    assert tune.main([*tiny, str(workshop / "tune"), *settings(corpus, tokens, codes, nar)]) == 0
    parts = [
        "--tokenizer",
        str(workshop / "tune" / "codec"),
        "--semantic",
        str(workshop / "ar" / "model"),
        "--acoustic",
        str(workshop / "tune" / "model"),
    ]
    assert bundle.main([*parts, "--out", str(workshop / "bundle")]) == 0
    return workshop


def test_what_was_trained_speaks(trained: Path) -> None:
    tts = ZeroShotTTS.from_pretrained(trained / "bundle")
    voice = tts.create_voice(trained / "0.wav")
    speech = tts.generate("Hello.", voice, seed=1)
    assert speech.waveform.shape[1] > 1600 and bool(speech.waveform.isfinite().all())


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
    named = encode.tokenizer_hash(tokenizer)
    tokenizer.config = replace(tokenizer.config, dropout=0.7)
    assert encode.tokenizer_hash(tokenizer) == named
    with torch.no_grad():
        next(tokenizer.parameters())[0] += 1
    assert encode.tokenizer_hash(tokenizer) != named


def test_stage_2_can_also_learn_classes(trained: Path, tmp_path: Path) -> None:
    given = settings(
        f"corpus=[{trained / 'corpus'}]",
        f"tokens=[{trained / 'tokens' / '0'}]",
        f"tokenizer={trained / 'codec' / 'model'}",
        "kind=acoustic_lm",
        "model={num_codebooks: 4, codebook_size: 32, dim: 32, num_heads: 2, num_layers: 2, "
        "level_groups: [1, 2]}",
    )
    assert train_nar.main(["--config", "tiny", "--out", str(tmp_path), *given]) == 0
    assert read_description(tmp_path / "model")["model_type"] == "acoustic_lm"


def test_tuning_moves_the_decoder_and_leaves_the_tokens(trained: Path) -> None:
    before = load_tokenizer(trained / "codec" / "model")
    after = load_tokenizer(trained / "tune" / "codec")
    waveform = speech_like(1.0, seed=3).waveform[None]
    codes = before.encode(waveform)
    assert torch.equal(after.encode(waveform), codes)
    assert not torch.equal(after.decode(codes), before.decode(codes))


@pytest.mark.parametrize("recipe", ["train_codec", "train_ar", "train_nar", "train_units", "tune"])
def test_a_resumed_run_ends_with_the_same_weights(
    trained: Path, recipe: str, tmp_path: Path
) -> None:
    """In two pieces instead of one: the second half begins from the checkpoint of the first."""
    name = recipe.removeprefix("train_")
    module = {
        "train_codec": train_codec,
        "train_ar": train_ar,
        "train_nar": train_nar,
        "train_units": train_units,
        "tune": tune,
    }[recipe]
    overrides = {
        "codec": [f"units={trained / 'units' / 'model'}"],
        "units": [f"teacher={trained / 'teacher'}", "teacher_layers=[1,2]", "model.teacher_dim=16"],
        "ar": [
            f"tokens=[{trained / 'tokens' / '0'}]",
            f"recognizer={trained / 'codec' / 'model'}",
        ],
        "nar": [
            f"tokens=[{trained / 'tokens' / '0'}]",
            f"tokenizer={trained / 'codec' / 'model'}",
        ],
        "tune": [
            f"tokens=[{trained / 'tokens' / '0'}]",
            f"tokenizer={trained / 'codec' / 'model'}",
            f"acoustic={trained / 'nar' / 'model'}",
        ],
    }[name]
    given = ["--config", "tiny", "--out", str(tmp_path / name)]
    given += settings(f"corpus=[{trained / 'corpus'}]", "loop.save_every_minutes=1e-9", *overrides)
    # A piece that is over at once stops after its first step.
    assert module.main([*given, "--piece-minutes", "1e-4"]) == 0
    assert not (tmp_path / name / "model").exists()
    assert module.main([*given, "--resume"]) == 0
    whole = (trained / name / "model" / "model.safetensors").read_bytes()
    pieces = (tmp_path / name / "model" / "model.safetensors").read_bytes()
    assert whole == pieces


def test_a_teacher_of_another_width_is_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = settings(
        f"corpus=[{trained / 'corpus'}]", f"teacher={trained / 'teacher'}", "teacher_layers=[1]"
    )
    assert train_units.main(["--config", "tiny", "--out", str(tmp_path), *given]) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "model.teacher_dim must be 16" in message and "512" in message


def test_a_stage_that_only_attends_trains_too(trained: Path, tmp_path: Path) -> None:
    given = settings(
        f"corpus=[{trained / 'corpus'}]",
        f"tokens=[{trained / 'tokens' / '0'}]",
        "kind=semantic_lm",
        "model={codebook_size: 32, dim: 32, num_heads: 2, num_layers: 2}",
        "prompted_share=1.0",
    )
    assert train_ar.main(["--config", "tiny", "--out", str(tmp_path), *given]) == 0
    assert read_description(tmp_path / "model")["model_type"] == "semantic_lm"


def test_a_model_that_needs_alignment_asks_for_a_recogniser(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = settings(f"corpus=[{trained / 'corpus'}]", f"tokens=[{trained / 'tokens' / '0'}]")
    assert train_ar.main(["--config", "tiny", "--out", str(tmp_path), *given]) == 1
    assert "recognizer must name a trained tokenizer" in capsys.readouterr().err


def test_training_lowers_the_loss(trained: Path) -> None:
    """On the same few recordings again and again."""
    for name in ("units", "codec", "ar"):
        lines = (trained / name / "log.jsonl").read_text("utf-8").splitlines()
        records = [json.loads(line) for line in lines]
        losses = [record["loss"] for record in records if record.get("kind") == "train"]
        assert np.isfinite(losses).all() and min(losses[1:]) < losses[0]
