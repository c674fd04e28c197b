"""The optimizer of the recipes, and a step that leaves out gradients that are not finite."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from uslm_recipes.loop_config import LoopConfig


def make_optimizer(model: nn.Module, config: LoopConfig) -> torch.optim.AdamW:
    """AdamW without decay for vectors; fused, which also skips bad steps without a round trip."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=config.betas,
        fused=True,
    )


def step_if(finite: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Step unless gradients are bad; fused optimizers decide on the device, without waiting."""
    inner: Any = getattr(optimizer, "optimizer", optimizer)
    if getattr(inner, "_step_supports_amp_scaling", False):
        inner.found_inf = (~finite).float()
        optimizer.step()
    elif bool(finite):
        optimizer.step()
