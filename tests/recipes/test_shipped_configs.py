"""Every config that comes with a recipe loads, and builds a model of a size that can ship."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from uslm.models.registry import model_class
from uslm.models.regressor import AcousticRegressor
from uslm_recipes import train_ar
from uslm_recipes.config import config_names, load_config
from uslm_recipes.train_ar import ARRecipe
from uslm_recipes.train_codec import CodecRecipe
from uslm_recipes.train_nar import NARRecipe
from uslm_recipes.train_units import UnitsRecipe
from uslm_recipes.tune import TuneRecipe
from uslm_tokenizer.acoustic.unit_codec import UnitCodec
from uslm_tokenizer.config import from_dict

RECIPES = {
    "train_units": UnitsRecipe,
    "train_codec": CodecRecipe,
    "train_ar": ARRecipe,
    "train_nar": NARRecipe,
    "tune": TuneRecipe,
}
EVERY = [(recipe, name) for recipe in RECIPES for name in config_names(recipe)]


def nar_config(size: str) -> Any:
    recipe = load_config(NARRecipe, size, recipe="train_nar")
    return from_dict(model_class(recipe.kind).config_class, recipe.model, where="model")


def test_each_recipe_has_a_tiny_and_a_mini_config() -> None:
    assert {recipe: set(config_names(recipe)) for recipe in RECIPES} == {
        recipe: {"tiny", "mini"} for recipe in RECIPES
    }


@pytest.mark.parametrize(("recipe", "name"), EVERY)
def test_the_config_loads(recipe: str, name: str) -> None:
    config = load_config(RECIPES[recipe], name, recipe=recipe)
    assert isinstance(config, RECIPES[recipe])


@pytest.mark.parametrize("size", ["tiny", "mini"])
def test_the_stages_fit_together(size: str) -> None:
    units = load_config(UnitsRecipe, size, recipe="train_units").model
    codec = load_config(CodecRecipe, size, recipe="train_codec").model
    ar = train_ar.build(load_config(ARRecipe, size, recipe="train_ar")).config
    nar = nar_config(size)
    assert units.quantizer.codebook_size == ar.codebook_size == nar.codebook_size
    assert codec.num_residual_levels + 1 == nar.num_codebooks
    assert codec.residual.codebook_size == nar.codebook_size
    assert units.num_symbols == ar.text_vocab_size == nar.text_vocab_size


def test_the_default_model_is_at_most_60_mb() -> None:
    units = load_config(UnitsRecipe, "mini", recipe="train_units").model
    codec = load_config(CodecRecipe, "mini", recipe="train_codec").model
    parts = [
        UnitCodec(replace(codec, units=units)),
        train_ar.build(load_config(ARRecipe, "mini", recipe="train_ar")),
        AcousticRegressor(nar_config("mini")),
    ]
    assert 2 * sum(part.num_parameters() for part in parts) <= 60e6
