"""Recipes of MaskGCT and Vevo at `tiny` size: what they leave, resuming, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

from uslm.models.base import AcousticModel, AcousticRow, SemanticModel
from uslm.models.masked import MaskedModel
from uslm.systems.registry import MODELS, load_model, model_class
from uslm.systems.vevo.flow_matching import FlowMatching
from uslm_recipes.config import load_config
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.tokens import TokenCorpus
from uslm_recipes.train import ar, feature_codec, flow, masked, nar
from uslm_recipes.train.acoustic_objectives import CodeObjective
from uslm_recipes.train.masked import Rows
from uslm_recipes.train.teachers.features import TeacherFeatures
from uslm_tokenizer.codecs.ssl_units.model import SSLUnits
from uslm_tokenizer.config import to_dict
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.registry import load_tokenizer

MAINS: dict[str, Callable[[list[str]], int]] = {
    "feature_codec": feature_codec.main,
    "masked": masked.main,
    "masked_s2a": masked.main,
    "flow": flow.main,
}


def arguments(stage: str, trained: Path, out: Path, *overrides: str) -> list[str]:
    tokens = trained / "tokens" / "0"
    own = {
        "feature_codec": [f"teacher={trained / 'made_up' / 'whisper'}"],
        "masked": [f"tokens=[{tokens}]"],
        "masked_s2a": [f"tokens=[{tokens}]", f"units=[{tokens}]"],
        "flow": [f"tokens=[{tokens}]"],
    }
    given = [f"corpus=[{trained / 'corpus'}]", "loop.samples=0", *own[stage], *overrides]
    config = "tiny_s2a" if stage == "masked_s2a" else "tiny"
    return ["--config", config, "--out", str(out), *(w for o in given for w in ("--set", o))]


@pytest.fixture(scope="session", params=MAINS)
def finished(request: pytest.FixtureRequest, trained: Path) -> tuple[str, Path]:
    """A whole run of each; processes that test side by side share it."""
    out = trained.parent / f"train_{request.param}"
    with FileLock(f"{out}.lock"):
        if not (out / "model").exists():
            assert MAINS[request.param](arguments(request.param, trained, out)) == 0
    return request.param, out


def test_a_resumed_run_ends_with_the_same_weights(
    finished: tuple[str, Path], trained: Path, tmp_path: Path
) -> None:
    stage, whole = finished
    main, given = MAINS[stage], arguments(stage, trained, tmp_path, "loop.save_every_minutes=1e-9")
    assert main([*given, "--stop-after-minutes", "1e-4"]) == 0
    assert not (tmp_path / "model").exists()
    assert main([*given, "--resume"]) == 0
    ends = [(run / "model" / "model.safetensors").read_bytes() for run in (whole, tmp_path)]
    assert ends[0] == ends[1]


def test_it_leaves_what_the_system_loads(finished: tuple[str, Path], trained: Path) -> None:
    stage, out = finished
    if stage == "feature_codec":
        units = load_tokenizer(out / "model")
        assert isinstance(units, SSLUnits)
        corpus, teacher = Corpus.open(trained / "corpus"), TeacherFeatures(out / "teacher")
        units_ = units.encoder(corpus.waveform(2)[None, None])[0][0]
        kept = teacher[2]  # in half precision, and the same statistics
        np.testing.assert_allclose(units_[: len(kept)].numpy(), kept.numpy(), atol=0.02)
        assert units.encode(corpus.waveform(2)[None, None]).shape[:2] == (1, 1)
    else:
        kind = FlowMatching if stage == "flow" else MaskedModel
        assert isinstance(load_model(out / "model"), kind)


def test_a_row_of_units_has_a_condition_for_each_frame(trained: Path) -> None:
    corpus = Corpus.open(trained / "corpus")
    tokens = TokenCorpus.open(corpus, trained / "tokens" / "0")
    row = Rows(corpus, tokens, tokens).row(1, 3)
    assert torch.equal(row.condition, tokens.codes(1)[0])
    assert torch.equal(row.target, tokens.codes(1)[:3]) and row.prompt.shape == (3, 0)
    text = Rows(corpus, tokens, None).row(1, 1)
    assert text.condition.tolist() == corpus.text_ids[1].tolist()


def test_frames_of_a_flow_are_the_vocoders_and_as_many_as_units(trained: Path) -> None:
    recipe = load_config(flow.FlowRecipe, "tiny", recipe="train_flow")
    corpus = Corpus.open(trained / "corpus")
    tokens = TokenCorpus.open(corpus, trained / "tokens" / "0")
    vocoder = flow.VevoVocoder(recipe.vocoder)
    batch = flow.Rows(corpus, tokens, vocoder).batch([1, 2])
    for place, index in enumerate((1, 2)):
        length = int(batch.lengths[place])
        assert length in {tokens.codes(index).shape[1], tokens.codes(index).shape[1] - 1}
        assert torch.equal(batch.units[place, :length], tokens.codes(index)[0, :length])
        mel = vocoder.mel(corpus.waveform(index)[None, None])[0, :length]
        assert torch.equal(batch.frames[place, :length], mel)


@pytest.mark.parametrize(
    ("stage", "override", "words"),
    [
        ("feature_codec", "model.quantizer.dim=24", "must take features of width 16"),
        ("masked", "kind=acoustic_lm", "kind must name a masked model, but names a acoustic_lm"),
        ("masked", "kind=maskgct_s2a", "units must be given to a model that takes a condition"),
        ("masked", "model.codebook_size=16", "model.codebook_size must be 32"),
        ("masked", "model.num_phones=4", "model.num_phones must be above"),
        ("masked_s2a", "model.num_units=16", "model.num_units must be 32"),
        ("flow", "model.frame_dim=9", "model.frame_dim must be 8, but is 9"),
        ("flow", "vocoder.sample_rate=24000", "vocoder's frame rate must be"),
    ],
)
def test_what_does_not_fit_is_told(
    stage: str,
    override: str,
    words: str,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert MAINS[stage](arguments(stage, trained, tmp_path, override)) == 1
    assert words in capsys.readouterr().err


KINDS: dict[str, Any] = {kind: model_class(kind) for kind in MODELS}
SEMANTIC = [kind for kind, found in KINDS.items() if issubclass(found, SemanticModel)]
ACOUSTIC = [kind for kind, found in KINDS.items() if issubclass(found, AcousticModel)]
WITH_PITCH = "conv_regressor"
"""Learns from tokens of a codec with pitch: recipes/default.sh trains it, in test_default.py."""


@pytest.mark.parametrize("kind", KINDS)
def test_models_that_a_recipe_cannot_train_are_told(kind: str) -> None:
    """Every model of the registry that is no stage of this kind, by what it is not."""
    if kind not in SEMANTIC:
        words = f"kind must name a semantic model, but names a {kind}"
        with pytest.raises(ConfigError, match=words):
            ar.build(ar.ARRecipe(kind=kind))
    if kind not in ACOUSTIC:
        with pytest.raises(ConfigError, match=f"kind must name a stage 2, but names a {kind}"):
            nar.new_model(nar.NARRecipe(kind=kind))


@pytest.mark.parametrize("kind", [k for k in (*SEMANTIC, *ACOUSTIC) if k != WITH_PITCH])
def test_every_stage_of_the_registry_learns(kind: str, trained: Path, tmp_path: Path) -> None:
    """A step each, by the recipes of our own stages."""
    found, codec = KINDS[kind], trained / "codec" / "model"
    shape = to_dict(found.tiny_config()) | ({"pitch_reach": 0} if kind == "monotonic_lm" else {})
    settings = [
        f"kind={kind}", f"model={json.dumps(shape)}",
        f"corpus=[{trained / 'corpus'}]", f"tokens=[{trained / 'tokens' / '0'}]",
        "loop.steps=1", "loop.warmup_steps=1", "loop.validate_every=1", "loop.samples=0",
    ]  # fmt: skip
    settings += {"monotonic_lm": [f"recognizer={codec}"]}.get(kind, [])
    settings += {"acoustic_regressor": [f"tokenizer={codec}"]}.get(kind, [])
    main, config = (nar.main, "unit_codec_tiny") if kind in ACOUSTIC else (ar.main, "tiny")
    given = [word for setting in settings for word in ("--set", setting)]
    assert main(["--config", config, "--out", str(tmp_path), *given]) == 0
    assert type(load_model(tmp_path / "model")) is found


def test_the_next_level_is_asked_for_by_hand() -> None:
    """Row 0 shows one level and is asked for the second, row 1 shows two."""
    model: Any = model_class("valle_nar")(model_class("valle_nar").tiny_config())  # type: ignore[attr-defined]
    codes = torch.tensor([[2], [3], [4], [5]]).expand(4, 2)  # of level k it is k + 2
    rows = [AcousticRow(prompt=codes[:, :1], codes=codes) for _ in "ab"]
    batch = model.batch(rows)
    scores = torch.tensor([2.0, 5.0])  # of the right code of codebook 1, and of codebook 2

    def logits(hidden: torch.Tensor, level: int) -> torch.Tensor:
        return torch.zeros(len(hidden), 32).index_fill(
            1, torch.tensor([level + 2]), float(scores[level - 1])
        )

    model.forward = lambda batch, num_known: torch.zeros(2, 3, 1)
    model.logits = logits
    objective = CodeObjective(model, label_smoothing=0.0)
    loss, _ = objective(batch, torch.tensor([1, 2]))
    wanted = (torch.log(31 + scores.exp()) - scores).mean()
    assert float(loss) == pytest.approx(float(wanted), rel=1e-5)
