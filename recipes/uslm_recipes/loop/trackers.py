"""Trackers of accelerate: which there are, and how sounds and pictures reach them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uslm_tokenizer.errors import ConfigError, EnvironmentProblem

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor

PROJECT = "uslm"


def trackers_named(names: Sequence[str]) -> list[str]:
    """The trackers for accelerate; it would leave out in silence what it cannot use.

    `json` is our own log and always written.
    """
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    available = {str(getattr(each, "value", each)) for each in get_available_trackers()}
    for name in names:
        if name not in {"json", *LOGGER_TYPE_TO_CLASS}:
            known = sorted({"json", *LOGGER_TYPE_TO_CLASS})
            raise ConfigError(f"loop.trackers may name {known}, but names {name!r}")
        if name not in {"json", *available}:
            raise EnvironmentProblem(f"the tracker {name!r} needs its package: pip install {name}")
    return [name for name in names if name != "json"]


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str | int | float | bool]:
    """A config as trackers take it: dotted keys, plain values."""
    found: dict[str, str | int | float | bool] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            plain = isinstance(value, (str, int, float, bool))
            found[f"{prefix}{key}"] = value if plain else str(value)
    return found


def show_picture(accelerator: Accelerator, name: str, path: Path, step: int) -> None:
    """Hand a PNG to the trackers that take pictures."""
    from matplotlib.image import imread

    pixels = imread(path)  # height, width, colours
    for tracker in accelerator.trackers:
        if tracker.name == "tensorboard":
            tracker.writer.add_image(name, pixels, step, dataformats="HWC")
        elif hasattr(tracker, "log_images"):
            tracker.log_images({name: pixels[None]}, step=step)


def play_sound(
    accelerator: Accelerator, name: str, waveform: Tensor, sample_rate: int, step: int
) -> None:
    """Hand a waveform [n] to the trackers that take sounds."""
    for tracker in accelerator.trackers:
        if tracker.name == "tensorboard":
            tracker.writer.add_audio(name, waveform[None], step, sample_rate)
        elif tracker.name == "wandb":
            import wandb

            sound = wandb.Audio(waveform.numpy(), sample_rate=sample_rate)
            tracker.log({name: sound}, step=step)
