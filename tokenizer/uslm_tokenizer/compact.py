"""Weights in 8 bits: each row of a matrix as whole numbers and one scale. For files only."""

from collections.abc import Mapping

import torch
from torch import Tensor

SCALE = ":scale"
"""What the name of a matrix's scales ends with; no module can bear such a name."""
MIN_WEIGHTS = 1 << 14
"""Smaller tensors stay in float16: they are little to save, and often matter most."""


def compacted(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices as int8 with scales, other floating-point tensors in float16."""
    stored: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            stored[name] = tensor
        elif tensor.ndim < 2 or tensor.numel() < MIN_WEIGHTS:
            stored[name] = tensor.half()
        else:
            rows = tensor.float().flatten(1)
            # In float16 already here, so that rounding is by the scale that will be read.
            scale = (rows.abs().amax(dim=1) / 127).clamp(min=1e-7).half()
            whole = (rows / scale.float()[:, None]).round().clamp(-127, 127)
            stored[name], stored[name + SCALE] = whole.to(torch.int8).view(tensor.shape), scale
    return stored


def restored(whole: Tensor, scale: Tensor) -> Tensor:
    """A matrix from its whole numbers and scales."""
    return whole.float() * scale.float().view(-1, *[1] * (whole.ndim - 1))
