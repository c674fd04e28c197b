"""Settings of a recipe: a YAML file, dotted overrides, and the arguments all recipes share."""

from __future__ import annotations

import argparse
import copy
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Generic, TypeVar

from uslm_recipes.command import run_command
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.errors import ConfigError, EnvironmentProblem, MissingResource
from uslm_tokenizer.renames import current_arguments, key_in

Config = TypeVar("Config")


@dataclass(frozen=True, kw_only=True)
class RecipeArguments(Generic[Config]):
    """The command line of a recipe, understood."""

    config: Config
    out: Path
    """Folder of the run: checkpoints, logs and the model."""
    resume: bool = False
    """Go on from the newest checkpoint in `out`."""
    extra: argparse.Namespace = field(default_factory=argparse.Namespace)
    """Arguments that the recipe added itself."""


def load_config(
    cls: type[Config],
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    recipe: str = "",
) -> Config:
    """Build `cls` from a YAML file or configs/<recipe>/<name>.yaml, then `a.b=value` overrides."""
    data = _read_yaml(_config_text(str(name_or_path), recipe), where=str(name_or_path))
    for override in overrides:
        apply_override(data, override)
    return from_dict(cls, data)


def config_names(recipe: str) -> list[str]:
    """The configs that come with a recipe."""
    folder = files("uslm_recipes") / "configs" / recipe
    if not folder.is_dir():
        return []
    return sorted(
        e.name.removesuffix(".yaml") for e in folder.iterdir() if e.name.endswith(".yaml")
    )


def recipe_parser(recipe: str, description: str = "") -> argparse.ArgumentParser:
    """The arguments that all recipes share; a recipe may add its own."""
    parser = argparse.ArgumentParser(
        prog=f"python -m uslm_recipes.{recipe}", description=description
    )
    parser.add_argument(
        "--config",
        default="mini",
        metavar="NAME|FILE",
        help=f"one of {config_names(recipe)}, or a YAML file",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--steps", type=int, help="train so many steps")
    parser.add_argument(
        "--max-minutes", type=float, help="train so long, all resumed processes together"
    )
    parser.add_argument(
        "--stop-after-minutes",
        type=float,
        help="stop this process earlier; --resume goes on from there",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    parser.add_argument(
        "--push-to-hub", metavar="NAME", help="send the finished model to the Hub, as me/my-model"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY=VALUE",
        help="change one value of the config, such as model.dim=256",
    )
    return parser


def parse_recipe_args(
    recipe: str,
    cls: type[Config],
    arguments: Sequence[str] | None = None,
    *,
    parser: argparse.ArgumentParser | None = None,
) -> RecipeArguments[Config]:
    """Read the command line; `cls` must have a `loop: LoopConfig` for the time and step limits."""
    options = (parser or recipe_parser(recipe)).parse_args(current_arguments(arguments))
    shared = {
        "steps": options.steps,
        "max_minutes": options.max_minutes,
        "stop_after_minutes": options.stop_after_minutes,
        "push_to_hub": options.push_to_hub,
    }
    overrides = [f"loop.{key}={value}" for key, value in shared.items() if value is not None]
    # A limit on the command line stands alone: --steps switches the config's minutes off.
    if options.steps is not None and options.max_minutes is None:
        overrides.append("loop.max_minutes=null")
    if options.max_minutes is not None and options.steps is None:
        overrides.append("loop.steps=null")
    config = load_config(cls, options.config, [*overrides, *options.overrides], recipe=recipe)
    return RecipeArguments(config=config, out=options.out, resume=options.resume, extra=options)


def recipe_main(
    recipe: str,
    cls: type[Config],
    train: Callable[..., object],
    arguments: Sequence[str] | None = None,
) -> int:
    """The command line of a recipe; `train` takes config and folder, and `resume`."""

    def action() -> None:
        given = parse_recipe_args(recipe, cls, arguments)
        train(given.config, given.out, resume=given.resume)

    return run_command(recipe, action)


def _config_text(name_or_path: str, recipe: str) -> str:
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        if not path.is_file():
            raise MissingResource(f"there is no config file {path}")
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as problem:
            raise ConfigError(f"{path} is not UTF-8: {problem}") from problem
    resource = files("uslm_recipes") / "configs" / recipe / f"{name_or_path}.yaml"
    if not resource.is_file():
        raise MissingResource(
            f"there is no config {name_or_path!r} for {recipe}; there are {config_names(recipe)}, "
            "or give a .yaml file"
        )
    return resource.read_text(encoding="utf-8")


def _read_yaml(text: str, *, where: str) -> dict[str, Any]:
    data = _parse_yaml(text, where=where)
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{where} must hold keys and values, but holds {data!r}")
    return copy.deepcopy(data)  # anchors would share one dict


def apply_override(data: dict[str, Any], override: str) -> None:
    """Set the value that `a.b=value` names; the value is read as YAML."""
    path, equals, value = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"an override must be key=value or a.b=value, but is {override!r}")
    for key in keys[:-1]:
        inner = data.setdefault(key_in(data, key), {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{override!r} goes into {key!r}, which is the value {inner!r}")
        data = inner
    data[key_in(data, keys[-1])] = _parse_yaml(value, where=override)


def _parse_yaml(text: str, *, where: str) -> Any:
    try:
        import yaml
    except ImportError as problem:
        raise EnvironmentProblem("recipes need PyYAML: pip install 'uslm[train]'") from problem

    class Loader(yaml.SafeLoader):
        """YAML 1.2 numbers: plain YAML 1.1 reads 1e-3 as a string."""

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(\d[\d_]*(\.[\d_]*)?|\.\d+)[eE][-+]?\d+$"),
        list("-+0123456789."),
    )
    try:
        return yaml.load(text, Loader)
    # Brackets too deep; numbers too long, days that no month has.
    except (yaml.YAMLError, RecursionError, ValueError) as problem:
        raise ConfigError(f"{where} is not YAML: {' '.join(str(problem).split())}") from problem
