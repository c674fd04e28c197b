"""The recipe of Vec-Tok at `tiny` size: what it leaves, resuming, prompt and rest, mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from uslm.systems.registry import load_model
from uslm.systems.vec_tok.model import InverseKMeans
from uslm.systems.vec_tok.vocoder import VectorVocoder
from uslm_recipes.config import load_config
from uslm_recipes.data.batches import pad_waveforms
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.train.vec_tok import VecTokRecipe, VecTokTraining, main
from uslm_recipes.train.vector_vocoder import main as train_vocoder
from uslm_tokenizer.codecs.kmeans_units.model import KMeansUnits
from uslm_tokenizer.codecs.kmeans_units.speaker_mean import replace_mean
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.objectives.waveform import MultiResolutionSTFTLoss
from uslm_tokenizer.registry import load_tokenizer
from uslm_tokenizer.weight_hash import weight_hash


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


# ---- the vocoder


def vocoder_arguments(finished: Path, material: Path, out: Path, *more: str) -> list[str]:
    given = [f"corpus=[{material / 'corpus'}]", f"tokenizer={finished / 'tokenizer'}", *more]
    return ["--config", "tiny", "--out", str(out), *(w for o in given for w in ("--set", o))]


def test_anonymised_vectors_are_heard(finished: Path, material: Path, tmp_path: Path) -> None:
    """Stopped and resumed or not, the vocoder is the same; it makes sound of vectors without their
    mean, and of those that come back from units."""
    given = vocoder_arguments(finished, material, tmp_path / "whole")
    assert train_vocoder(given) == 0
    stopped = vocoder_arguments(
        finished, material, tmp_path / "stopped", "loop.save_every_minutes=1e-9"
    )
    assert train_vocoder([*stopped, "--stop-after-minutes", "1e-4"]) == 0
    assert not (tmp_path / "stopped" / "model").exists()
    assert train_vocoder([*stopped, "--resume"]) == 0
    whole, resumed = (
        (tmp_path / name / "model" / "model.safetensors").read_bytes()
        for name in ("whole", "stopped")
    )
    assert whole == resumed
    tokenizer, inverse = parts(finished)
    vocoder = load_model(tmp_path / "whole" / "model")
    waveform = Corpus.open([material / "corpus"]).waveform(0)[None, None]
    vectors, real = tokenizer.vectors(waveform)
    units, nobody = tokenizer.encode(waveform)[:, 0], torch.zeros(vectors.shape[2])
    sounds = [
        vocoder.decode(each)
        for each in (
            vectors,
            replace_mean(vectors, real, nobody),
            inverse(units, real, vectors[:, :20], real[:, :20]).detach(),
        )
    ]
    for made in (inverse, vocoder):
        made.check_tokenizer(weight_hash(tokenizer=tokenizer))
        with pytest.raises(UserError, match=r"was trained on units of the tokenizer .* of another"):
            made.check_tokenizer("another")
    wanted = (1, 1, vectors.shape[1] * tokenizer.hop_length)
    assert [each.shape for each in sounds] == [wanted] * 3
    assert all(bool(each.isfinite().all()) for each in sounds)
    assert not torch.equal(sounds[0], sounds[1])


def test_a_vocoder_learns_what_the_encoder_tells(
    finished: Path, material: Path, tmp_path: Path
) -> None:
    """Made of its own vectors an utterance is nearer than made of those of another."""
    more = ["model.vocos.dim=64", "model.vocos.hidden_dim=128", "loop.steps=150"]
    more += ["loop.learning_rate=3e-3", "loop.validate_every=0", "batch_size=4"]
    more += ["discriminator.start_fraction=1.0"]
    assert train_vocoder(vocoder_arguments(finished, material, tmp_path, *more)) == 0
    tokenizer, vocoder = load_tokenizer(finished / "tokenizer"), load_model(tmp_path / "model")
    corpus, distance = Corpus.open([material / "corpus"]), MultiResolutionSTFTLoss(16_000)
    real = [corpus.waveform(i)[None, None, : 320 * 40] for i in range(6)]
    made = [vocoder.decode(tokenizer.vectors(each)[0]) for each in real]
    own = sum(float(distance(a, b)) for a, b in zip(made, real, strict=True))
    others = sum(float(distance(a, b)) for a, b in zip(made[1:] + made[:1], real, strict=True))
    assert own < 0.95 * others, (own, others)


def test_mistakes_of_a_vocoder_are_told(
    finished: Path, material: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for more, wanted in (
        ("model.vocos.in_dim=32", "model.vocos.in_dim must be 16, as of"),
        ("model.vocos.hop_length=160", "model.vocos.hop_length must be 320, as of"),
        ("model.sample_rate=24000", "model.sample_rate must be 16000, as of"),
        (f"tokenizer={finished / 'model'}", "inverse_kmeans"),
    ):
        assert train_vocoder(vocoder_arguments(finished, material, tmp_path, more)) == 1
        assert wanted in capsys.readouterr().err
    with pytest.raises(UserError, match=r"vectors must be 16 wide, .* but are 8"):
        VectorVocoder(VectorVocoder.tiny_config()).decode(torch.zeros(1, 3, 8))


def test_mistakes_are_told(
    material: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(material, tmp_path, "model.feature_dim=32")) == 1
    assert "model.feature_dim must be 16 for" in capsys.readouterr().err
    assert main(arguments(material, tmp_path, "sources=[nowhere]")) == 1
    assert "there is nothing to train on" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"prompt_share must be in \[0, 1\), but is 1"):
        VecTokRecipe(prompt_share=1.0)
