"""Advice for when a device has too little memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from uslm_tokenizer.errors import EnvironmentProblem


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error means that memory, of a GPU or of the machine, was not enough."""
    words = "can't allocate memory"  # PyTorch has no class of its own for the CPU's
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and words in str(error)
    )


def too_little_memory(
    recipe: Any, batch_key: str, step: int, checkpoints: Sequence[Path]
) -> EnvironmentProblem:
    """An error that says which knob to turn, and where to go on."""
    size, batches = getattr(recipe, batch_key, None), recipe.loop.gradient_accumulation
    knobs = f"--set loop.gradient_accumulation={2 * batches}"
    if isinstance(size, (int, float)):
        knobs = f"--set {batch_key}={type(size)(size / 2)} {knobs}"
    if checkpoints:
        knobs += " --set loop.accept_changes=true --resume"
    kept = f"{checkpoints[0]} is kept" if checkpoints else "there is no checkpoint yet"
    return EnvironmentProblem(
        f"the device has too little memory at step {step}: take {batch_key} smaller (it is "
        f"{size}) and more of them to a step, as with {knobs}; {kept}"
    )
