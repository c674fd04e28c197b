"""The optimizer of the recipes, and a step that leaves out gradients that are not finite."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from uslm_recipes.loop.config import LoopConfig


def make_optimizer(
    model: nn.Module, config: LoopConfig, *, scale: float = 1.0
) -> torch.optim.AdamW:
    """AdamW without decay for vectors; fused, which also skips bad steps without a round trip.

    `scale` is of the learning rate, for models that learn at another speed than the first.
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [{**group, "scale": scale} for group in groups if group["params"]],
        lr=config.learning_rate * scale,
        betas=config.betas,
        fused=True,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """The rate of the next step, times the scale of each group."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group.get("scale", 1.0)


def step_if(finite: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Step unless gradients are bad; fused optimizers decide on the device, without waiting."""
    if getattr(optimizer, "scaler", None) is not None:  # fp16's scaler looks for itself
        optimizer.step()
        return
    inner: Any = getattr(optimizer, "optimizer", optimizer)
    if getattr(inner, "_step_supports_amp_scaling", False):
        inner.found_inf = (~finite).float()
        optimizer.step()
    elif bool(finite):
        optimizer.step()
