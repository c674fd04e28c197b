"""Codecs of any design from one recipe: what it leaves, resuming, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from uslm_recipes.config import load_config
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.train.waveform_codec import (
    WaveformCodecRecipe,
    build_untrained,
    main,
    start_codec,
)
from uslm_tokenizer.codecs.vae.model import VAECodec
from uslm_tokenizer.codecs.waveform_codec.model import WaveformCodec
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.objectives.weighted import WaveformWeights
from uslm_tokenizer.quantize.split import SplitQuantizer
from uslm_tokenizer.registry import TOKENIZERS, load_tokenizer, tokenizer_class

TAUGHT = (
    "objectives=[{kind: teacher_cosine, weight: 1.0}, {kind: pseudo_label, num_labels: 4}]",
    "teacher_layers=[1,2]",
)


def arguments(trained: Path, out: Path, *overrides: str) -> list[str]:
    given = [f"corpus=[{trained / 'corpus'}]", "loop.samples=0", *overrides]
    return ["--config", "tiny", "--out", str(out), *(w for o in given for w in ("--set", o))]


def teacher(trained: Path) -> str:
    return f"teacher={trained / 'made_up' / 'whisper'}"


def records(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = (run / "log.jsonl").read_text("utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["kind"] == kind]


def new_folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.fixture(scope="session")
def finished(trained: Path) -> Path:
    """A whole run with two objectives; processes that test side by side share it."""
    out = trained.parent / "waveform_codec"
    with FileLock(f"{out}.lock"):
        if not (out / "model").exists():
            assert main(arguments(trained, out, teacher(trained), *TAUGHT)) == 0
    return out


def test_it_leaves_a_codec_without_the_heads_of_its_objectives(
    trained: Path, finished: Path
) -> None:
    codec = load_tokenizer(finished / "model")
    assert isinstance(codec, WaveformCodec) and codec.num_codebooks == 3
    waveform = Corpus.open(trained / "corpus").waveform(3)[None, None]
    assert codec.decode(codec.encode(waveform)).shape[-1] >= waveform.shape[-1]
    logged = records(finished, "train")
    assert {"teacher_cosine", "pseudo_label", "mel", "commitment"} <= set(logged[0])
    assert "discriminator" not in logged[0] and "discriminator" in logged[-1]
    validated = records(finished, "valid")[-1]
    assert validated["loss"] > 0 and {f"codes_used_{k}" for k in range(3)} <= set(validated)
    assert "# waveform_codec" in (finished / "model" / "README.md").read_text("utf-8")


def test_a_resumed_run_ends_with_the_same_weights(
    trained: Path, finished: Path, tmp_path: Path
) -> None:
    given = arguments(trained, tmp_path, teacher(trained), *TAUGHT, "loop.save_every_minutes=1e-9")
    assert main([*given, "--stop-after-minutes", "1e-4"]) == 0
    assert not (tmp_path / "model").exists()
    assert main([*given, "--resume"]) == 0
    whole = (finished / "model" / "model.safetensors").read_bytes()
    assert whole == (tmp_path / "model" / "model.safetensors").read_bytes()


def test_a_published_design_trains_and_its_branch_is_the_teacher(
    trained: Path, tmp_path: Path
) -> None:
    """X-Codec's, whose branch takes the weights of the speech encoder that is named."""
    branch = "model.semantic={backbone: {model_type: whisper}, layers: [2]}"
    short = ("loop.steps=2", "loop.warmup_steps=1", "loop.validate_every=2")
    restored = "objectives=[{kind: restoration}]"
    given = arguments(trained, tmp_path, teacher(trained), restored, branch, *short)
    assert main(given) == 0
    codec = load_tokenizer(tmp_path / "model")
    assert isinstance(codec, WaveformCodec) and codec.branch is not None
    assert codec.branch.encoder.family == "whisper" and codec.branch.encoder.dim == 16
    assert records(tmp_path, "train")[-1]["restoration"] > 0


def test_a_variational_codec_trains_and_resumes(trained: Path, tmp_path: Path) -> None:
    """Its divergence is logged, and a run in two parts ends as a whole one does."""
    given = ["loop.save_every_minutes=1e-9", "quantizer_weight=0.1"]
    runs = [tmp_path / name for name in ("whole", "parts")]
    commands = [["--config", "vae_tiny", *arguments(trained, run, *given)[2:]] for run in runs]
    assert main(commands[0]) == 0
    assert main([*commands[1], "--stop-after-minutes", "1e-4"]) == 0
    assert main([*commands[1], "--resume"]) == 0
    whole, parts = ((run / "model" / "model.safetensors").read_bytes() for run in runs)
    assert whole == parts
    codec = load_tokenizer(runs[0] / "model")
    assert isinstance(codec, VAECodec)
    assert records(runs[0], "train")[-1]["commitment"] > 0


def test_a_language_model_teaches_too_and_a_run_with_balanced_losses_resumes(
    trained: Path, tmp_path: Path, save_bert: Any
) -> None:
    """Words come from the recogniser; the balancer's averages are part of what is resumed."""
    lm = save_bert(new_folder(tmp_path / "bert"))
    given = [
        f"language={{name: {lm}, recognizer: {trained / 'codec' / 'model'}}}",
        "objectives=[{kind: language_cosine, weight: 1.0}]",
        "weights={mel: 2.0, adversarial: 4.0, features: 4.0, samples: 0.1, balanced: true}",
        "loop.save_every_minutes=1e-9",
    ]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(arguments(trained, whole, *given)) == 0
    assert main([*arguments(trained, parts, *given), "--stop-after-minutes", "1e-4"]) == 0
    assert main([*arguments(trained, parts, *given), "--resume"]) == 0
    ends = [(run / "model" / "model.safetensors").read_bytes() for run in (whole, parts)]
    assert ends[0] == ends[1]
    logged = records(whole, "train")[0]
    assert logged["language_cosine"] > 0 and logged["samples"] > 0
    assert "balancer" not in str(load_tokenizer(whole / "model").state_dict().keys())


def test_what_cannot_train_is_refused_by_what_it_cannot(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in ("encodec", "unit_codec", "ssl_units"):
        assert main(arguments(trained, tmp_path, f"kind={kind}", "model={}")) == 1
        assert (
            f"kind must name a codec that can train, but {kind} cannot" in capsys.readouterr().err
        )
    assert main(arguments(trained, tmp_path, *TAUGHT)) == 1
    assert "teacher must name a speech encoder" in capsys.readouterr().err
    language = "objectives=[{kind: language_cosine}]"
    assert main(arguments(trained, tmp_path, language)) == 1
    assert "language.name must name a language model" in capsys.readouterr().err
    rate = "model.sample_rate=24000"
    assert main(arguments(trained, tmp_path, rate)) == 1
    assert "the corpus must have 24000 Hz" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"discriminator\.rules must be weights\.rules"):
        WaveformCodecRecipe(weights=WaveformWeights(rules="hifi_gan"))


def test_every_codec_of_waveforms_that_is_ours_can_train() -> None:
    found = {name for name in TOKENIZERS if hasattr(tokenizer_class(name), "latent_dim")}
    assert found == {
        "waveform_codec", "maskgct_codec", "speech_tokenizer", "hifi_codec", "wav_tokenizer",
        "language_codec", "mimi_codec", "vae_codec", "audio_vae",
    }  # fmt: skip


def test_codebooks_start_from_the_data(finished: Path, trained: Path, tmp_path: Path) -> None:
    given = arguments(trained, tmp_path, "kmeans_batches=0", "loop.steps=1", "loop.warmup_steps=1")
    assert main(given) == 0
    spread = [
        torch.cat([b for n, b in load_tokenizer(run / "model").named_buffers() if "embedding" in n])
        for run in (finished, tmp_path)
    ]
    assert float(spread[0].std()) < 0.5 < float(spread[1].std())  # latents are small at the start


def test_a_start_of_unit_variance_comes_before_the_codebooks(trained: Path) -> None:
    recipe = load_config(WaveformCodecRecipe, "tiny", recipe="train_waveform_codec")
    corpus = Corpus.open(trained / "corpus")
    waveform = corpus.waveform(3)[None, None]
    spread = {}
    for unit_variance in (False, True):
        torch.manual_seed(0)
        codec = build_untrained(replace(recipe, unit_variance=unit_variance))
        assert isinstance(codec, WaveformCodec)
        start_codec(replace(recipe, unit_variance=unit_variance), codec, corpus)
        latents = codec.encoder(waveform).detach()
        spread[unit_variance] = float(latents.std())
        assert isinstance(codec.quantizer, SplitQuantizer)
        level = codec.quantizer.semantic
        rest = latents - level.decode(level.encode(latents))
        assert float(rest.var() / latents.var()) < 0.9  # the codebook lies among them
    assert spread[False] < 0.1 and 0.3 < spread[True] < 3
