"""The optimizer of the recipes, and a step that leaves out gradients that are not finite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from uslm_recipes.loop.config import LoopConfig


def make_optimizer(
    model: nn.Module,
    config: LoopConfig,
    *,
    scale: float = 1.0,
    scale_of: Callable[[str], float] = lambda name: 1.0,
) -> torch.optim.AdamW:
    """AdamW without decay for vectors; fused, which also skips bad steps without a round trip.

    `scale` is of the learning rate, for models that learn at another speed than the first;
    `scale_of` the same of a parameter by its name.
    """
    by_scale: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            by_scale.setdefault(scale * scale_of(name), []).append(parameter)
    groups: list[dict[str, Any]] = []
    for rate, found in by_scale.items():
        matrices, vectors = [p for p in found if p.ndim >= 2], [p for p in found if p.ndim < 2]
        groups.append({"params": matrices, "weight_decay": config.weight_decay, "scale": rate})
        groups.append({"params": vectors, "weight_decay": 0.0, "scale": rate})
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
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
