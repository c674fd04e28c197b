"""The recipe of judged units at `tiny` size: stages, controls, resuming, mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

from uslm_recipes.config import load_config
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.train.judged_units import JudgedUnitsRecipe, Source, build, main
from uslm_tokenizer.codecs.judged_units.model import JudgedUnits
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.registry import load_tokenizer

CPU = torch.device("cpu")


def save_judge(folder: Path, whisper: Path) -> None:
    """A Llama with random weights that reads the letters of the made-up Whisper."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    text_tokenizer = AutoTokenizer.from_pretrained(whisper)
    torch.manual_seed(7)
    config = LlamaConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, vocab_size=len(text_tokenizer), max_position_embeddings=512,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    text_tokenizer.save_pretrained(folder)


@pytest.fixture(scope="session")
def judge(material: Path) -> Path:
    """The folder of a language model; processes that test side by side share it."""
    folder = material.parent / "judge"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            save_judge(folder, material / "made_up" / "whisper")
    return folder


def settings(material: Path, name: str, judge: Path, *more: str) -> list[str]:
    own = [f"corpus=[{material / 'corpus'}]", f"encoder={material / 'made_up' / 'whisper'}"]
    return [*own, *([f"judge={judge}"] if name.startswith("last") else []), *more]


def arguments(material: Path, name: str, judge: Path, out: Path, *more: str) -> list[str]:
    given = settings(material, name, judge, *more)
    return ["--config", name, "--out", str(out), *(w for o in given for w in ("--set", o))]


def recipe_of(material: Path, name: str, judge: Path, *more: str) -> JudgedUnitsRecipe:
    given = settings(material, name, judge, *more)
    return load_config(JudgedUnitsRecipe, name, given, recipe="train_judged_units")


def records(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = (run / "log.jsonl").read_text("utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["kind"] == kind]


@pytest.fixture(scope="session", params=["tiny", "last_tiny"])
def finished(request: pytest.FixtureRequest, material: Path, judge: Path) -> tuple[str, Path]:
    """A whole run of each kind."""
    out = material.parent / f"judged_{request.param}"
    with FileLock(f"{out}.lock"):
        if not (out / "model").exists():
            assert main(arguments(material, request.param, judge, out)) == 0
    return request.param, out


def test_it_leaves_a_tokenizer(finished: tuple[str, Path]) -> None:
    name, out = finished
    tokenizer = load_tokenizer(out / "model")
    assert isinstance(tokenizer, JudgedUnits)
    assert tokenizer.encode(0.1 * torch.randn(1, 1, 6400)).shape == (1, 1, 20)
    card = (out / "model" / "README.md").read_text("utf-8")
    assert "# judged_units" in card and "LibriSpeech" in card
    losses = [record["loss"] for record in records(out, "train")]
    assert np.isfinite(losses).all()
    values = records(out, "valid")[-1]
    assert 1 <= values["codebook_perplexity"] <= values["codes_used"] <= 16
    assert ("predictability" in values) == (name == "last_tiny")
    assert ("phoneme_error_rate" in values) == (name == "tiny")


def test_a_resumed_run_ends_with_the_same_weights(
    finished: tuple[str, Path], material: Path, judge: Path, tmp_path: Path
) -> None:
    """In two processes, the first of one step: the second begins in the first stage."""
    name, out = finished
    more = ("loop.save_every_minutes=1e-9", "loop.samples=0")
    given = arguments(material, name, judge, tmp_path, *more)
    assert main([*given, "--stop-after-minutes", "1e-4"]) == 0
    assert not (tmp_path / "model").exists()
    assert main([*given, "--resume"]) == 0
    whole = (out / "model" / "model.safetensors").read_bytes()
    assert whole == (tmp_path / "model" / "model.safetensors").read_bytes()


# ---- who learns when


def changed(material: Path, name: str, judge: Path, *more: str) -> tuple[set[str], set[str]]:
    """Parts of the tokenizer that get a gradient in each stage of a run."""
    model, _ = build(recipe_of(material, name, judge, *more), CPU)
    recipe = recipe_of(material, name, judge, *more)
    source = Source(recipe, Corpus.open(recipe.corpus), None, None, 320)
    batch = source.batch([0, 1, 2])
    found: list[set[str]] = []
    for second in (False, True):
        if second:
            draw = torch.Generator().manual_seed(0)
            model.begin_second(torch.randn(1, recipe.quantizer.dim, 200, generator=draw), draw)
        model.apply_stage(0.9 if second else 0.0)
        model.zero_grad(set_to_none=True)
        draw = torch.Generator().manual_seed(0)
        before = {n: p.clone() for n, p in model.tokenizer.quantizer.state_dict().items()}
        made, losses = model(batch.waveforms, batch.lengths, batch.references, draw)
        losses.total().backward()
        reached = {
            next(k for k in ("adapter", "backbone", "layer_logits", "quantizer") if k in name)
            for name, p in model.tokenizer.named_parameters()
            if p.grad is not None and bool((p.grad != 0).any())
        }
        after = model.tokenizer.quantizer.state_dict()
        if any(not torch.equal(before[key], after[key]) for key in before):
            reached.add("quantizer")
        found.append(reached)
        continuous = bool(torch.equal(made.quantized.latents, made.latents))
        assert continuous == (model.config.continuous_first and not second)
    return found[0], found[1]


ALL = {"backbone", "layer_logits", "quantizer"}
DIFF_KMEANS: dict[str, tuple[list[str], set[str], set[str]]] = {
    "both": ([], set(), ALL),
    "centroids": (["stages.trained=[codebook]"], set(), {"quantizer"}),
    "encoder": (["stages.trained=[encoder]"], set(), {"backbone"}),
    "frozen": (["stages.control=frozen"], set(), set()),
    "gradient cut": (["stages.control=gradient cut"], set(), set()),
    "recluster": (["stages.control=recluster"], ALL - {"quantizer"}, set()),
}


@pytest.mark.parametrize("arm", DIFF_KMEANS)
def test_the_arms_of_differentiable_k_means(material: Path, judge: Path, arm: str) -> None:
    more, first, second = DIFF_KMEANS[arm]
    assert changed(material, "tiny", judge, *more) == (first, second)


LAST: dict[str, tuple[list[str], set[str], set[str]]] = {
    "whole": ([], {"adapter"}, {"adapter", "quantizer"}),
    "gradient cut": (["stages.control=gradient cut"], {"adapter"}, {"adapter", "quantizer"}),
    "frozen": (["stages.control=frozen"], set(), set()),
}


@pytest.mark.parametrize("arm", LAST)
def test_the_arms_of_last(material: Path, judge: Path, arm: str) -> None:
    more, first, second = LAST[arm]
    assert changed(material, "last_tiny", judge, *more) == (first, second)


def test_re_clustering_begins_with_new_heads(material: Path, judge: Path) -> None:
    model, _ = build(recipe_of(material, "tiny", judge, "stages.control=recluster"), CPU)
    fresh = {name: p.clone() for name, p in model.objectives.state_dict().items()}
    with torch.no_grad():
        for parameter in model.objectives.parameters():
            parameter.add_(1.0)
    draw = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 16, 200, generator=draw)
    model.begin_second(latents, draw)
    assert all(torch.equal(p, fresh[name]) for name, p in model.objectives.state_dict().items())
    spread = torch.cdist(model.tokenizer.quantizer.centroids.detach(), latents[0].T)  # type: ignore[arg-type, operator]
    assert bool((spread.min(1).values < 3).all())  # among the latents


def test_the_temperature_falls_in_the_second_stage(material: Path, judge: Path) -> None:
    model, _ = build(recipe_of(material, "tiny", judge), CPU)
    found = []
    for fraction in (0.0, 0.4, 0.7, 1.0):
        model.apply_stage(fraction)
        found.append(float(model.tokenizer.quantizer.temperature))  # type: ignore[arg-type]
    assert found == pytest.approx([2.0, 2.0, 1.25, 0.5])


def test_a_random_judge_is_another(material: Path, judge: Path) -> None:
    same, random = (
        build(recipe_of(material, "last_tiny", judge, *more), CPU)[1]
        for more in ((), ("stages.control=random judge",))
    )
    assert same is not None and random is not None
    name = "model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(same.model.state_dict()[name], random.model.state_dict()[name])


def test_texts_for_the_language_model_are_its_own_tokens(material: Path, judge: Path) -> None:
    recipe = recipe_of(
        material, "last_tiny", judge, "objectives.likelihood.after_text=true",
        "objectives.answer={question: 'What?'}",
    )  # fmt: skip
    model, found = build(recipe, CPU)
    corpus = Corpus.open(recipe.corpus)
    batch = Source(recipe, corpus, found, None, 320).batch([0, 3])
    texts = batch.references.judge_texts
    assert texts is not None and found is not None
    for row, ids, length in zip(texts.rows, texts.ids, texts.lengths, strict=True):
        text = corpus.utterances[[0, 3][int(row)]].text
        assert found.text_tokenizer.decode(ids[:length]) == text
    model.begin_second(torch.randn(1, 8, 100), torch.Generator().manual_seed(0))
    model.apply_stage(0.9)
    _, losses = model(batch.waveforms, batch.lengths, batch.references)
    assert {"likelihood", "answer"} <= set(losses.losses)
    losses.total().backward()


# ---- mistakes


@pytest.mark.parametrize(
    ("name", "override", "words"),
    [
        ("last_tiny", "judge=''", "judge must be named"),
        ("tiny", "stages.control=random judge", "is for likelihood and answer"),
        ("tiny", "stages.first_stage=adapter", "needs an adapter"),
        ("tiny", "stages.trained=[]", "names none"),
        ("tiny", "stages.first_share=1.0", "must be in \\[0, 1\\)"),
        ("tiny", "layer_weights=mean", 'where layer_weights is "learnt"'),
        ("tiny", "quantizer.dim=8", "must be 16, the width of the speech encoder"),
        (
            "tiny",
            "quantizer={dim: 16, codebook_size: 8, iterations: 5}",
            "a KMeans stays as it was",
        ),
        ("tiny", "quantizer={levels: [{dim: 16}, {dim: 16}]}", "one code a frame, but gives 2"),
        ("last_tiny", "objectives.reconstruction=null", "needs objectives.reconstruction"),
    ],
)
def test_mistakes_are_told(
    material: Path, judge: Path, name: str, override: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        build(recipe_of(material, name, judge, override), CPU)
