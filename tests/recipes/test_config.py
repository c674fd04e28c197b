"""Recipe configs: strict, overridable, found by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import pytest

from uslm_recipes.config import load_config, parse_recipe_args
from uslm_recipes.loop import LoopConfig
from uslm_tokenizer.errors import ConfigError, MissingResource


@dataclass(frozen=True, kw_only=True)
class Inner:
    dim: int = 8
    rates: tuple[float, ...] = (0.5,)
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    model: Inner = field(default_factory=Inner)
    loop: LoopConfig = field(default_factory=LoopConfig)
    corpus: tuple[str, ...] = ("data",)


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "some.yaml"
    path.write_text("model: {dim: 16}\nloop:\n  learning_rate: 1e-3\n  steps: 100\n")
    return path


def test_file_then_overrides(config_file: Path) -> None:
    overrides = ["model.rates=[1, 2e-1]", "model.name=x=y", "loop.learning_rate=5E-4"]
    config = load_config(Recipe, config_file, overrides)
    assert config.model == Inner(dim=16, rates=(1.0, 0.2), name="x=y")
    assert config.loop.learning_rate == 5e-4 and config.loop.steps == 100


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.dmi=3", "did you mean 'dim'"),
        ("modell.dim=3", "did you mean 'model'"),
        ("model.dim=many", "model.dim must be int"),
        ("model.dim", "a.b=value"),
        ("=3", "a.b=value"),
        ("model.dim.deep=3", "goes into 'dim'"),
        ("model.rates=[1", "not YAML"),
        ("loop.learning_rate=-1", "must be positive"),
        ("loop.precision=fp8", "one of"),
    ],
)
def test_wrong_overrides_are_told(config_file: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(Recipe, config_file, [override])


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert load_config(Recipe, tmp_path / "empty.yaml") == Recipe()


def test_a_missing_config_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match=r"nowhere\.yaml"):
        load_config(Recipe, tmp_path / "nowhere.yaml")
    with pytest.raises(MissingResource, match="no config 'tinny' for train_units"):
        load_config(Recipe, "tinny", recipe="train_units")


def test_a_list_is_no_config(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="keys and values"):
        load_config(Recipe, tmp_path / "list.yaml")


def test_arguments(config_file: Path) -> None:
    line = f"--config {config_file} --out runs/x --max-minutes 3 --resume --set model.dim=4"
    arguments = parse_recipe_args("train_toy", Recipe, line.split())
    assert arguments.config.model.dim == 4 and arguments.resume
    assert arguments.out == Path("runs/x")
    loop = arguments.config.loop
    assert loop.max_minutes == 3 and loop.steps is None  # the limit given is the only one


def test_steps_on_the_command_line_switch_minutes_off(config_file: Path) -> None:
    line = f"--config {config_file} --out x --steps 5 --set loop.stop_after_minutes=2"
    loop = parse_recipe_args("train_toy", Recipe, line.split()).config.loop
    assert (loop.steps, loop.max_minutes, loop.stop_after_minutes) == (5, None, 2.0)


def test_configs_that_come_along_are_listed() -> None:
    for folder in (files("uslm_recipes") / "configs").iterdir():
        assert folder.is_dir()
        assert all(each.name.endswith(".yaml") for each in folder.iterdir())
