"""Weights that FSDP spreads over processes: whole ones to save, and their shards to load.

Every process must call these together. Without FSDP they change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def unwrap(model: nn.Module) -> nn.Module:
    """The recipe's own module under DistributedDataParallel and torch.compile."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, nn.parallel.DistributedDataParallel):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def put_together(tensor: Tensor) -> Tensor:
    """A whole tensor, of one that processes hold parts of."""
    part: Any = tensor
    return part.full_tensor() if _is_part(tensor) else tensor


def is_sharded(model: nn.Module) -> bool:
    """Whether a process holds only a part of some weights."""
    return any(_is_part(parameter) for parameter in model.parameters())


def whole(value: Any) -> Any:
    """Tensors put together and brought to the CPU, inside dicts and lists too."""
    if isinstance(value, Tensor):
        return put_together(value).detach().cpu()
    if isinstance(value, Mapping):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(whole(item) for item in value)
    return value


def part_like(value: Tensor, own: Tensor) -> Tensor:
    """This process's part of a whole tensor, laid out as `own` is."""
    if not _is_part(own):
        return value
    from torch.distributed.tensor import distribute_tensor

    spread: Any = own
    value = value.to(device=own.device, dtype=own.dtype)
    return distribute_tensor(value, spread.device_mesh, spread.placements)


def load_whole_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Take over an optimizer state that was saved whole."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    numbers = [n for group in saved["param_groups"] for n in group["params"]]
    own = dict(zip(numbers, parameters, strict=True))
    state = {
        number: {
            name: value if name == "step" else part_like(value, own[number])
            for name, value in values.items()
        }
        for number, values in saved["state"].items()
    }
    optimizer.load_state_dict({**saved, "state": state})


def _is_part(tensor: Tensor) -> bool:
    # The class DTensor takes half a second to import.
    return hasattr(tensor, "full_tensor")
