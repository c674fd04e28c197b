"""Progress of a run, and everything that its checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from uslm_recipes.loop.ema import Ema


class Resumable(Protocol):
    """A stream of batches, or anything else with a place to come back to."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass(kw_only=True)
class Progress:
    """Progress of a run, over all its processes."""

    step: int = 0
    """Optimizer steps done."""
    seconds_used: float = 0.0
    """Wall-clock time spent training."""
    audio_seconds: float = 0.0
    """Speech seen, repeats counted."""
    skipped_steps: int = 0
    """Steps whose gradients were not finite."""
    best: float | None = None
    """Best validation value so far; smaller is better."""


@dataclass(kw_only=True)
class TrainingState:
    """Contents of a checkpoint. Files are named by the keys."""

    models: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    """One for each model, under the same name."""
    streams: dict[str, Resumable] = field(default_factory=dict)
    """Data streams by name; JSON-able positions."""
    generators: dict[str, torch.Generator] = field(default_factory=dict)
    """Generators that the recipe draws from."""
    shardable: bool = False
    """Whether FSDP may spread the weights: there is one model, asked only through `forward`."""
    averaged: tuple[str, ...] = ("model",)
    """Models whose averaged weights are kept too, if the config says so."""
    ema: dict[str, Ema] = field(default_factory=dict)
    """The averaged weights; `start_run` fills this."""
    progress: Progress = field(default_factory=Progress)
    scaler: Any = None
    """fp16's gradient scaler, where there is one; `start_run` fills this."""
    places: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Places in the streams after the last batch that was trained on; a thread may be ahead."""
