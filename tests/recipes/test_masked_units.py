"""The recipe of masked prediction at `tiny` size: iterations, resuming, controls, mistakes."""

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
from uslm_recipes.train.masked_units import (
    MaskedTraining,
    MaskedUnitsRecipe,
    collate,
    main,
    place_labels,
)
from uslm_recipes.train.teachers.labels import open_label_teacher
from uslm_tokenizer.codecs.masked_units.model import MaskedUnits
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.objectives.label_sources import build_labels
from uslm_tokenizer.registry import load_tokenizer

CPU = torch.device("cpu")
NAMES = ("tiny", "beats_tiny", "spear_tiny")


def settings(material: Path, name: str, *more: str) -> list[str]:
    """Each iteration's teacher: none, the first iteration, another encoder."""
    teacher = {
        "tiny": [],
        "beats_tiny": [f"teacher={material.parent / 'masked_tiny' / 'model'}"],
        "spear_tiny": [f"teacher={material / 'made_up' / 'whisper'}"],
    }[name]
    return [f"corpus=[{material / 'corpus'}]", *teacher, *more]


def arguments(material: Path, name: str, out: Path, *more: str) -> list[str]:
    given = settings(material, name, *more)
    return ["--config", name, "--out", str(out), *(w for o in given for w in ("--set", o))]


def finish(material: Path, name: str) -> Path:
    out = material.parent / f"masked_{name}"
    with FileLock(f"{out}.lock"):
        if not (out / "model").exists():
            assert main(arguments(material, name, out)) == 0
    return out


@pytest.fixture(scope="session", params=NAMES)
def finished(request: pytest.FixtureRequest, material: Path) -> tuple[str, Path]:
    """A whole run of each kind; a later iteration after the first."""
    finish(material, "tiny")
    return request.param, finish(material, request.param)


def records(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = (run / "log.jsonl").read_text("utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["kind"] == kind]


def test_it_leaves_a_tokenizer(finished: tuple[str, Path]) -> None:
    name, out = finished
    tokenizer = load_tokenizer(out / "model")
    assert isinstance(tokenizer, MaskedUnits)
    shape = (1, 2 if name == "spear_tiny" else 1, 20)
    assert tokenizer.encode(0.1 * torch.randn(1, 1, 6400)).shape == shape
    assert "# masked_units" in (out / "model" / "README.md").read_text("utf-8")
    assert np.isfinite([record["loss"] for record in records(out, "train")]).all()
    values = records(out, "valid")[-1]
    assert 1 <= values["label_perplexity"] <= 16 and 0 <= values["accuracy"] <= 1


def test_a_resumed_run_ends_with_the_same_weights(
    finished: tuple[str, Path], material: Path, tmp_path: Path
) -> None:
    """In two processes, the first of one step: of labels that are trained, in the first stage."""
    name, out = finished
    given = arguments(material, name, tmp_path, "loop.save_every_minutes=1e-9")
    assert main([*given, "--stop-after-minutes", "1e-4"]) == 0
    assert not (tmp_path / "model").exists()
    assert main([*given, "--resume"]) == 0
    whole = (out / "model" / "model.safetensors").read_bytes()
    assert whole == (tmp_path / "model" / "model.safetensors").read_bytes()


# ---- stages and controls


def training_of(material: Path, name: str, *more: str) -> tuple[MaskedTraining, Any, Any]:
    """Untrained, with its labels placed; a batch, and its frames described."""
    finish(material, "tiny")
    given = settings(material, name, *more)
    recipe = load_config(MaskedUnitsRecipe, name, given, recipe="train_masked_units")
    corpus = Corpus.open(recipe.corpus)
    untrained = 0 if recipe.control == "untrained teacher" else None
    teacher = open_label_teacher(
        recipe.teacher, (1, 2), corpus, material.parent / "masked_teacher", CPU,
        untrained_seed=untrained,
    )  # fmt: skip
    torch.manual_seed(0)
    source = build_labels(recipe.labels, num_mels=16, feature_dim=teacher.dim or 16)
    training = MaskedTraining(recipe, MaskedUnits(recipe.model), source)
    draw = torch.Generator().manual_seed(0)
    place_labels(training, recipe, corpus, teacher, list(range(6)), draw)
    batch = collate(recipe, corpus, teacher, [0, 3], 0)
    return training, batch, training.described(batch, teacher)


def test_labels_are_trained_first_and_stay_then(material: Path) -> None:
    training, batch, given = training_of(material, "beats_tiny")
    for fraction, learning in ((0.1, "source"), (0.6, "model")):
        training.apply_stage(fraction)
        training.zero_grad(set_to_none=True)
        before = {n: x.clone() for n, x in training.source.state_dict().items()}
        loss, parts = training(given, batch.hidden, torch.Generator().manual_seed(0))
        loss.backward()
        reached = {n.split(".")[0] for n, p in training.named_parameters() if p.grad is not None}
        assert reached == {learning}
        assert set(parts) == {"labels" if learning == "source" else "prediction"}
        after = training.source.state_dict()
        moved = any(not torch.equal(before[n], after[n]) for n in before)
        assert moved == (learning == "source")  # the codebook follows its frames
    training.apply_stage(0.2)
    assert training.is_second  # there is no way back


def test_the_second_iteration_s_labels_are_of_the_first_s_features(material: Path) -> None:
    _, _, given = training_of(material, "beats_tiny")
    first = MaskedUnits.from_pretrained(material.parent / "masked_tiny" / "model")
    corpus = Corpus.open(material / "corpus")
    expected = first.encoder(corpus.waveform(0)[None, None])[0][0]
    torch.testing.assert_close(given.features[0, : len(expected)], expected, atol=1e-4, rtol=1e-3)
    _, _, random = training_of(material, "beats_tiny", "control=untrained teacher")
    assert not torch.allclose(random.features, given.features, atol=0.1)


def test_shifted_labels_are_the_same_at_another_time(material: Path) -> None:
    training, _, given = training_of(material, "tiny")
    shifted, _, _ = training_of(material, "tiny", "control=shifted labels")
    for row, real in enumerate(given.real.sum(1).tolist()):
        one, two = (each.labels(given)[row, 0, :real] for each in (training, shifted))
        assert torch.equal(two, one.roll(real // 2)) and not torch.equal(one, two)


def test_what_is_hidden_is_drawn_from_epoch_and_utterance_alone(material: Path) -> None:
    training, _, _ = training_of(material, "tiny")
    corpus = Corpus.open(material / "corpus")
    teacher = open_label_teacher("", (1,), corpus, Path(), CPU)

    def hidden(indices: list[int], epoch: int) -> list[bool]:
        found = collate(training.recipe, corpus, teacher, indices, epoch)
        return found.hidden[indices.index(3), : found.lengths[indices.index(3)] // 320].tolist()

    assert hidden([0, 3], 1) == hidden([5, 3, 1], 1) == hidden([3], 1)
    assert hidden([3], 1) != hidden([3], 2)


# ---- mistakes


@pytest.mark.parametrize(
    ("name", "override", "words"),
    [
        ("tiny", "model.codebook_size=32", r"model\.codebook_size must be 16, as labels\."),
        ("spear_tiny", "model.num_codebooks=3", r"model\.num_codebooks must be 2, as labels\."),
        ("beats_tiny", "teacher=''", 'where labels.kind is "distilled", but is empty'),
        ("tiny", "control=untrained teacher", "needs a teacher, but there is none"),
        ("tiny", "label_share=1.5", r"label_share must be in \(0, 1\)"),
    ],
)
def test_configs_that_cannot_be_are_refused(
    material: Path, name: str, override: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        given = settings(material, name, override)
        load_config(MaskedUnitsRecipe, name, given, recipe="train_masked_units")


def test_mistakes_are_told(
    material: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(material, "tiny", tmp_path, "sources=[nowhere]")) == 1
    assert "there is nothing to train on" in capsys.readouterr().err
    more = ("control=untrained teacher",)
    assert main(arguments(material, "spear_tiny", tmp_path / "b", *more)) == 1
    assert "is for a teacher of train_masked_units" in capsys.readouterr().err
