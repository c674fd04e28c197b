"""How long and how fast a recipe trains: its limits and its learning rate over them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from uslm_recipes.checkpoint import Progress
from uslm_tokenizer.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How long, how fast and how carefully a recipe trains."""

    steps: int | None = None
    """Optimizer steps in all."""
    max_minutes: float | None = None
    """Minutes of training in all, resumed pieces together; the schedule follows the time used."""
    piece_minutes: float | None = None
    """End this piece after so many minutes with a checkpoint; the schedule does not end with it."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises from nothing."""
    learning_rate: float = 1e-3
    """Highest learning rate."""
    min_learning_rate_ratio: float = 0.05
    """The learning rate falls on a cosine to this share of the highest."""
    weight_decay: float = 0.01
    """Of matrices only; vectors (biases, norms) are left alone."""
    betas: tuple[float, float] = (0.9, 0.98)
    """Adam's averaging of gradients and of their squares."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    max_skipped_in_a_row: int = 10
    """A step with gradients that are not finite is skipped; so many together end the run."""
    seed: int = 0
    """Seed of the weights, of the data order and of every draw."""
    log_every: int = 20
    """Steps between two lines of the log."""
    save_every_minutes: float = 5.0
    """Minutes between two checkpoints."""
    validate_every: int = 500
    """Steps between two validations; 0 is never."""
    gradient_accumulation: int = 1
    """Batches whose gradients make one step."""
    precision: Literal["bf16", "fp32"] = "fp32"
    """bf16 computes in autocast; weights and optimizer stay in float32."""
    ema_decay: float | None = 0.999
    """Decay of the averaged weights; null keeps none."""
    keep_last: int = 2
    """Checkpoints to keep."""
    trackers: tuple[str, ...] = ()
    """Trackers of accelerate that get the log too, such as tensorboard."""

    def __post_init__(self) -> None:
        for name in ("steps", "max_minutes", "piece_minutes", "learning_rate", "log_every"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"loop.{name} must be positive, but is {value}")
        if self.gradient_accumulation < 1 or self.keep_last < 1:
            raise ConfigError("loop.gradient_accumulation and loop.keep_last must be 1 or more")


def fraction_done(progress: Progress, config: LoopConfig) -> float:
    """Share of the run that is over, in [0, 1], by the limit that will be reached first."""
    by_steps = progress.step / config.steps if config.steps else 0.0
    by_time = progress.seconds_used / (60 * config.max_minutes) if config.max_minutes else 0.0
    return min(1.0, max(by_steps, by_time))


def schedule(progress: Progress, config: LoopConfig) -> float:
    """Share of the highest learning rate for the next step: linear warm-up, then a cosine."""
    warmup = min(1.0, (progress.step + 1) / max(1, config.warmup_steps))
    cosine = 0.5 * (1 + math.cos(math.pi * fraction_done(progress, config)))
    return warmup * (config.min_learning_rate_ratio + (1 - config.min_learning_rate_ratio) * cosine)
