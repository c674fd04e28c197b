"""Commands of recipes, as documents and files' headers give them, are understood as they stand."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from uslm.systems.registry import model_class
from uslm_recipes.commands import fine_tune
from uslm_recipes.config import parse_recipe_args, recipe_parser
from uslm_tokenizer.config import from_dict

ROOT = Path(__file__).parents[2]
RECIPES: dict[str, str] = {
    "train_units": "UnitsRecipe",
    "train_codec": "CodecRecipe",
    "train_waveform_codec": "WaveformCodecRecipe",
    "train_source_filter": "SourceFilterRecipe",
    "train_feature_codec": "FeatureCodecRecipe",
    "train_masked": "MaskedRecipe",
    "train_flow": "FlowRecipe",
    "train_voxcpm": "VoxCPMRecipe",
    "train_melody": "MelodyRecipe",
    "train_content_lm": "ContentLMRecipe",
    "train_gense": "GenseRecipe",
    "train_dual_speech": "DualSpeechRecipe",
    "train_make_a_voice": "MakeAVoiceRecipe",
    "train_code_vocoder": "CodeVocoderRecipe",
    "train_ar": "ARRecipe",
    "train_nar": "NARRecipe",
    "train_joint": "JointRecipe",
}
PLACES = [
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "recipes").rglob("*.md"),
    *(ROOT / "recipes" / "uslm_recipes").rglob("*.py"),
]


def commands() -> list[tuple[str, str, list[str]]]:
    """File, recipe and arguments of each command."""
    found = []
    for place in PLACES:
        text = re.sub(r"\\{1,2}\n\s*", " ", place.read_text("utf-8"))
        for recipe, rest in re.findall(r"-m uslm_recipes\.(\w+) ([^\n]*)", text):
            if recipe in (*RECIPES, "fine_tune"):
                found.append((place.name, recipe, shlex.split(rest.rstrip("'"))))
    return found


@pytest.mark.parametrize(("place", "recipe", "arguments"), commands())
def test_a_command_is_understood(place: str, recipe: str, arguments: list[str]) -> None:
    if recipe == "fine_tune":
        fine_tune.parser().parse_args(arguments)
        return
    module = import_module(f"uslm_recipes.{recipe}").main.__module__
    kind: Any = getattr(import_module(module), RECIPES[recipe])
    config = parse_recipe_args(recipe, kind, arguments, parser=recipe_parser(recipe)).config
    if recipe in ("train_ar", "train_nar", "train_content_lm"):  # a kind, and keys that it has
        assert from_dict(model_class(config.kind).config_class, config.model, where="model")


def test_accelerate_understands_how_it_is_started() -> None:
    from accelerate.commands.launch import launch_command_parser

    text = (ROOT / "docs" / "train-on-several-machines.md").read_text("utf-8")
    lines = re.findall(r"accelerate launch ([^`\"]*?-m) uslm_recipes", text.replace("\\\n", " "))
    assert len(lines) == 4
    for line in lines:
        known = re.sub(r"\$\([^)]*\)|\$\w+", "0", line)
        parsed = launch_command_parser().parse_args([*shlex.split(known), "uslm_recipes.train_ar"])
        assert parsed.module and parsed.num_processes >= 4


def test_there_are_commands_of_every_recipe() -> None:
    assert {recipe for _, recipe, _ in commands()} == {*RECIPES, "fine_tune"}
