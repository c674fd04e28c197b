"""Limits of a recipe's training, and its learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from uslm_recipes.loop.progress import Progress
from uslm_tokenizer.errors import ConfigError

POSITIVE = ("steps", "max_minutes", "stop_after_minutes", "warmup_minutes", "learning_rate",
            "max_grad_norm", "log_every", "save_every_minutes")  # fmt: skip
AT_LEAST_ONE = ("gradient_accumulation", "keep_last", "max_skipped_in_a_row")
NOT_NEGATIVE = ("validate_every", "samples", "read_ahead", "warmup_steps", "weight_decay")
SHARES = ("min_learning_rate_ratio",)
DECAYS = ("betas", "ema_decay")


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """Settings of every recipe's `loop:`."""

    steps: int | None = None
    """Optimizer steps in all."""
    max_minutes: float | None = None
    """Minutes of training in all, resumed processes together; the schedule follows the time
    used."""
    stop_after_minutes: float | None = None
    """End this process after so many minutes with a checkpoint; the schedule does not end with
    it."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises from nothing."""
    warmup_minutes: float | None = None
    """Minutes over which it rises; where given, in place of `warmup_steps`."""
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
    gradient_accumulation: int = 1
    """Batches whose gradients make one step."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "fp32"
    """auto is bf16 where the device has instructions for it, else fp32. bf16 and fp16 compute in
    autocast, weights and optimizer stay float32; fp16 needs a GPU."""
    compile: Literal["no", "default", "reduce-overhead", "max-autotune"] = "no"
    """Mode of torch.compile, for GPUs; reduce-overhead wants batches of one shape."""
    ema_decay: float | None = 0.999
    """Decay of the averaged weights; null keeps none."""
    read_ahead: int = 0
    """Batches that a thread reads before they are asked for; pays where the model is on a GPU."""
    log_every: int = 20
    """Steps between two lines of the log."""
    validate_every: int = 500
    """Steps between two validations; 0 is never."""
    samples: int = 2
    """Held-out utterances that each validation shows as sound and picture; 0 is none."""
    save_every_minutes: float = 5.0
    """Minutes between two checkpoints."""
    keep_last: int = 2
    """Checkpoints to keep."""
    trackers: tuple[str, ...] = ()
    """Trackers of accelerate, such as tensorboard and wandb. json is log.jsonl, always written."""
    accept_changes: bool = False
    """Go on from a checkpoint that was made with another config or other data."""
    licence: str = "apache-2.0"
    """Licence of the weights, as the Hub writes it; for the model's card."""
    push_to_hub: str | None = None
    """Repository of the Hub that the finished model is sent to, such as me/my-model."""

    def __post_init__(self) -> None:
        # Comparisons that a number fulfils; with NaN none is true.
        ranges: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
            (POSITIVE, lambda x: 0 < x < math.inf, "positive"),
            (AT_LEAST_ONE, lambda x: 1 <= x < math.inf, "1 or more"),
            (NOT_NEGATIVE, lambda x: 0 <= x < math.inf, "0 or more"),
            (SHARES, lambda x: 0 <= x <= 1, "0 to 1"),
            (DECAYS, lambda x: 0 <= x < 1, "0 or more, and below 1"),
            (("seed",), lambda x: 0 <= x < 2**32, "0 or more, and below 2**32"),
        )
        for names, fits, may_be in ranges:
            for name in names:
                given = getattr(self, name)
                for value in given if isinstance(given, tuple) else (given,):
                    if value is not None and not fits(value):
                        raise ConfigError(f"loop.{name} must be {may_be}, but is {value}")


def fraction_done(progress: Progress, config: LoopConfig) -> float:
    """Share of the run that is over, in [0, 1], by the limit that will be reached first."""
    by_steps = progress.step / config.steps if config.steps else 0.0
    by_time = progress.seconds_used / (60 * config.max_minutes) if config.max_minutes else 0.0
    return min(1.0, max(by_steps, by_time))


def schedule(progress: Progress, config: LoopConfig) -> float:
    """Share of the highest learning rate for the next step: linear warm-up, then a cosine."""
    warmup = (progress.step + 1) / max(1, config.warmup_steps)
    if config.warmup_minutes is not None:
        warmup = progress.seconds_used / (60 * config.warmup_minutes)
    cosine = 0.5 * (1 + math.cos(math.pi * fraction_done(progress, config)))
    floor = config.min_learning_rate_ratio
    return min(1.0, warmup) * (floor + (1 - floor) * cosine)
