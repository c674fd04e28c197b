"""The recipe of Vec-Tok at `tiny` size: what it leaves, resuming, prompt and rest, mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from uslm.systems.registry import load_model
from uslm.systems.vec_tok.model import InverseKMeans
from uslm_recipes.config import load_config
from uslm_recipes.data.batches import pad_waveforms
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.train.vec_tok import VecTokRecipe, VecTokTraining, main
from uslm_tokenizer.codecs.kmeans_units.model import KMeansUnits
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.registry import load_tokenizer


def arguments(material: Path, out: Path, *more: str) -> list[str]:
    whisper = material / "made_up" / "whisper"
    given = [f"corpus=[{material / 'corpus'}]", f"encoder={whisper}", *more]
    return ["--config", "tiny", "--out", str(out), *(w for o in given for w in ("--set", o))]


@pytest.fixture(scope="session")
def finished(material: Path) -> Path:
    out = material.parent / "vec_tok"
    with FileLock(f"{out}.lock"):
        if not (out / "model").exists():
            assert main(arguments(material, out)) == 0
    return out


def parts(finished: Path) -> tuple[KMeansUnits, InverseKMeans]:
    tokenizer, model = load_tokenizer(finished / "tokenizer"), load_model(finished / "model")
    assert isinstance(tokenizer, KMeansUnits) and isinstance(model, InverseKMeans)
    return tokenizer, model


def test_it_leaves_units_and_their_inverse(finished: Path) -> None:
    tokenizer, model = parts(finished)
    assert tokenizer.config.subtract_mean
    assert torch.equal(model.centroids, tokenizer.quantizer.centroids)
    lines = (finished / "log.jsonl").read_text("utf-8").splitlines()
    values = [line for line in map(json.loads, lines) if line["kind"] == "valid"][-1]
    assert values["loss"] > 0 and values["centroids_alone"] > 0
    assert "# inverse_kmeans" in (finished / "model" / "README.md").read_text("utf-8")


def test_a_resumed_run_ends_with_the_same_weights(
    finished: Path, material: Path, tmp_path: Path
) -> None:
    given = arguments(material, tmp_path, "loop.save_every_minutes=1e-9")
    assert main([*given, "--stop-after-minutes", "1e-4"]) == 0
    assert not (tmp_path / "model").exists()
    assert main([*given, "--resume"]) == 0
    for part in ("model", "tokenizer"):
        whole = (finished / part / "model.safetensors").read_bytes()
        assert whole == (tmp_path / part / "model.safetensors").read_bytes()


def test_prompt_and_rest_are_the_utterance(finished: Path, material: Path) -> None:
    tokenizer, model = parts(finished)
    given = [f"corpus=[{material / 'corpus'}]"]
    recipe = load_config(VecTokRecipe, "tiny", given, recipe="train_vec_tok")
    corpus = Corpus.open(recipe.corpus)
    waveforms, lengths = pad_waveforms([corpus.waveform(i) for i in (0, 3)])
    found = VecTokTraining(recipe, tokenizer, model).split(waveforms, lengths)
    vectors, mask = tokenizer.vectors(waveforms, lengths)
    units = tokenizer.encode(waveforms, lengths)[:, 0]
    for row, count in enumerate(mask.sum(1).tolist()):
        cut = min(int(0.4 * count), 150)
        assert int(found.prompt_mask[row].sum()) == cut > 0
        assert int(found.mask[row].sum()) == count - cut
        torch.testing.assert_close(found.prompt[row, :cut], vectors[row, :cut])
        torch.testing.assert_close(found.target[row, : count - cut], vectors[row, cut:count])
        assert torch.equal(found.units[row, : count - cut], units[row, cut:count])


def test_mistakes_are_told(
    material: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(material, tmp_path, "model.feature_dim=32")) == 1
    assert "model.feature_dim must be 16 for" in capsys.readouterr().err
    assert main(arguments(material, tmp_path, "sources=[nowhere]")) == 1
    assert "there is nothing to train on" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"prompt_share must be in \[0, 1\), but is 1"):
        VecTokRecipe(prompt_share=1.0)
