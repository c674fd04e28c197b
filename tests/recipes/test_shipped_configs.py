"""Every config that comes with a recipe loads, and builds a model of a size that can ship."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from uslm.systems.registry import model_class
from uslm.systems.two_stage.monotonic import MonotonicLM
from uslm.systems.two_stage.regressor import AcousticRegressor
from uslm_recipes.config import config_names, load_config
from uslm_recipes.data.rows.acoustic import RowShape
from uslm_recipes.train import ar as train_ar
from uslm_recipes.train.ar import ARRecipe
from uslm_recipes.train.code_vocoder import CodeVocoderRecipe
from uslm_recipes.train.content_lm import ContentLMRecipe
from uslm_recipes.train.dual_speech import DualSpeechRecipe
from uslm_recipes.train.feature_codec import FeatureCodecRecipe
from uslm_recipes.train.flow import FlowRecipe
from uslm_recipes.train.gense import GenseRecipe
from uslm_recipes.train.joint import JointRecipe
from uslm_recipes.train.judged_units import JudgedUnitsRecipe
from uslm_recipes.train.make_a_voice import MakeAVoiceRecipe
from uslm_recipes.train.masked import MaskedRecipe
from uslm_recipes.train.masked_units import MaskedUnitsRecipe
from uslm_recipes.train.melody import MelodyRecipe
from uslm_recipes.train.nar import NARRecipe
from uslm_recipes.train.source_filter import SourceFilterRecipe
from uslm_recipes.train.speech_lm import SpeechLMRecipe
from uslm_recipes.train.streams import StreamsRecipe
from uslm_recipes.train.unit_codec import CodecRecipe
from uslm_recipes.train.units import UnitsRecipe
from uslm_recipes.train.vec_tok import VecTokRecipe
from uslm_recipes.train.vector_vocoder import VectorVocoderRecipe
from uslm_recipes.train.voxcpm import VoxCPMRecipe
from uslm_recipes.train.waveform_codec import WaveformCodecRecipe
from uslm_tokenizer.base import TrainableCodec
from uslm_tokenizer.codecs.unit_codec.model import UnitCodec
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.hub import empty_parameters
from uslm_tokenizer.objectives.waveform import MEL_SCALES
from uslm_tokenizer.registry import tokenizer_class

RECIPES = {
    "train_units": UnitsRecipe,
    "train_codec": CodecRecipe,
    "train_waveform_codec": WaveformCodecRecipe,
    "train_source_filter": SourceFilterRecipe,
    "train_judged_units": JudgedUnitsRecipe,
    "train_masked_units": MaskedUnitsRecipe,
    "train_vec_tok": VecTokRecipe,
    "train_vector_vocoder": VectorVocoderRecipe,
    "train_speech_lm": SpeechLMRecipe,
    "train_feature_codec": FeatureCodecRecipe,
    "train_masked": MaskedRecipe,
    "train_flow": FlowRecipe,
    "train_voxcpm": VoxCPMRecipe,
    "train_melody": MelodyRecipe,
    "train_content_lm": ContentLMRecipe,
    "train_gense": GenseRecipe,
    "train_dual_speech": DualSpeechRecipe,
    "train_make_a_voice": MakeAVoiceRecipe,
    "train_code_vocoder": CodeVocoderRecipe,
    "train_streams": StreamsRecipe,
    "train_ar": ARRecipe,
    "train_nar": NARRecipe,
    "train_joint": JointRecipe,
}
PUBLISHED_CODECS = (
    "speech_tokenizer", "dm_codec", "language_codec", "wav_tokenizer", "mimi", "x_codec", "vae",
    "encodec", "hifi_codec",
)  # fmt: skip
EVERY = [(recipe, name) for recipe in RECIPES for name in config_names(recipe)]


def nar_config(size: str) -> Any:
    recipe = load_config(NARRecipe, f"unit_codec_{size}", recipe="train_nar")
    return from_dict(model_class(recipe.kind).config_class, recipe.model, where="model")


def test_each_recipe_has_a_config_of_each_size() -> None:
    sizes = {"tiny", "mini", "base"}
    wanted = {recipe: sizes for recipe in RECIPES}
    wanted["train_judged_units"] = sizes | {f"last_{size}" for size in sizes}
    wanted["train_judged_units"] |= {"last_k100", "last_k500", "last_k1000", "last_360m"}
    wanted["train_judged_units"] |= {f"us_{size}" for size in sizes}
    wanted["train_masked_units"] = sizes | {
        f"{kind}_{size}" for kind in ("beats", "spear") for size in sizes
    }
    valle_r = {"valle_r_tiny", "valle_r_mini"}
    wanted["train_ar"] = sizes | {"mini_vevo"} | valle_r
    for recipe in ("train_nar", "train_joint"):
        wanted[recipe] = sizes | {f"unit_codec_{size}" for size in sizes}
    wanted["train_nar"] |= valle_r
    wanted["train_feature_codec"] = {"tiny", "mini", "maskgct", "vevo_content"} | {
        "vevo_content_style"
    }
    wanted["train_masked"] = {"tiny", "tiny_s2a", "mini", "mini_s2a"} | {
        f"maskgct_{stage}" for stage in ("t2s", "s2a", "s2a_first")
    }
    wanted["train_gense"] = sizes | {"mini_speaker"}
    wanted["train_dual_speech"] = sizes | {"mini_decoder"}
    wanted["train_make_a_voice"] = sizes | {"mini_semantic"}
    wanted["train_flow"] = {"tiny", "mini", "vevo"}
    wanted["train_voxcpm"] = {"tiny", "mini", "voxcpm"}
    wanted["train_melody"] = {"tiny", "mini", "melody"}
    wanted["train_content_lm"] = {"tiny", "mini", "vevo"}
    wanted["train_waveform_codec"] = {
        "tiny", "vae_tiny", "vae_mini", "mini", "mini_split", "mini_group", "mini_pairs",
        "mimi_mini", *PUBLISHED_CODECS,
    }  # fmt: skip
    assert {recipe: set(config_names(recipe)) for recipe in RECIPES} == wanted


@pytest.mark.parametrize(("recipe", "name"), EVERY)
def test_the_config_loads(recipe: str, name: str) -> None:
    config = load_config(RECIPES[recipe], name, recipe=recipe)
    assert isinstance(config, RECIPES[recipe])


@pytest.mark.parametrize("name", PUBLISHED_CODECS)
def test_crops_of_published_codecs_are_of_whole_hops_of_their_losses(name: str) -> None:
    recipe = load_config(WaveformCodecRecipe, name, recipe="train_waveform_codec")
    hop = 512 if recipe.spectral == "dac" else 240
    assert recipe.crop_frames * 320 % hop == 0
    found = tokenizer_class(recipe.kind)
    assert issubclass(found, TrainableCodec)
    assert from_dict(found.config_class, recipe.model)


def parts(size: str) -> tuple[UnitCodec, Any, AcousticRegressor]:
    """Codec and both stages, without memory for their weights."""
    units = load_config(UnitsRecipe, size, recipe="train_units").model
    codec = load_config(CodecRecipe, size, recipe="train_codec").model
    with empty_parameters():
        return (
            UnitCodec(replace(codec, units=units)),
            train_ar.build(load_config(ARRecipe, size, recipe="train_ar")),
            AcousticRegressor(nar_config(size)),
        )


@pytest.mark.parametrize("size", ["tiny", "mini", "base"])
def test_the_stages_fit_together(size: str) -> None:
    units = load_config(UnitsRecipe, size, recipe="train_units").model
    codec, stage1, nar = (part.config for part in parts(size))
    ar: Any = stage1
    assert nar.vector_dim == codec.dim == codec.residual.dim
    assert units.quantizer.codebook_size == ar.codebook_size == nar.codebook_size
    assert codec.num_residual_levels + 1 == nar.num_codebooks
    assert codec.residual.codebook_size == nar.codebook_size
    assert units.num_symbols == ar.text_vocab_size == nar.text_vocab_size


def test_the_default_model_is_at_most_60_mb() -> None:
    folder = files("uslm") / "assets" / "default"
    sizes = [path.stat().st_size for path in Path(str(folder)).rglob("*") if path.is_file()]
    assert 10e6 < sum(sizes) <= 60e6


def test_base_has_the_pretrained_sizes() -> None:
    """12 layers of width 1,024, and so about as many weights as VALL-E's stages."""
    _, stage1, stage2 = parts("base")
    assert isinstance(stage1, MonotonicLM)
    for speaking in (stage1.decoder, stage2.transformer):
        assert (speaking.num_layers, speaking.dim) == (12, 1024)
    assert 150e6 < stage1.num_parameters() < 250e6
    assert 150e6 < stage2.num_parameters() < 200e6


@pytest.mark.parametrize("size", ["tiny", "mini", "base"])
def test_crops_are_as_long_as_the_mel_loss_wants_them(size: str) -> None:
    longest = max(scale.window for scale in MEL_SCALES)
    joint = load_config(JointRecipe, f"unit_codec_{size}", recipe="train_joint")
    for recipe, crop in (
        ("train_codec", load_config(CodecRecipe, size, recipe="train_codec").crop_frames),
        ("train_joint", joint.crop_frames),
    ):
        samples = crop * load_config(UnitsRecipe, size, recipe="train_units").model.hop_length
        assert samples % (longest // 4) == 0, recipe


@pytest.mark.parametrize("frames", [0, 26])
def test_crops_longer_than_any_row_are_refused(frames: int) -> None:
    """Otherwise the recipe would look for a row that is long enough for ever."""
    rows = RowShape(max_target_frames=25)
    assert JointRecipe(rows=rows, crop_frames=25).crop_frames == 25
    with pytest.raises(ConfigError, match="crop_frames must be from 1 to"):
        JointRecipe(rows=rows, crop_frames=frames)
