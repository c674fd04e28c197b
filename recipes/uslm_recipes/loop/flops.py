"""Counts the arithmetic of training steps, and measures how much of it a device can do.

Counted are multiplications of matrices, convolutions and attention, forward and backward, each
multiply-add as two. MFU is the share of the measured peak that goes into frames, not padding.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

COUNT_EVERY, COUNTED = 500, 4
"""Of so many batches so many are counted, one after another: counting takes time."""


class FlopMeter:
    """FLOPs of a frame, padding among them, from the batches that are counted."""

    def __init__(self) -> None:
        self.per_slot: float | None = None
        """Of this process; None until enough batches are counted."""
        self._mode: Any = None
        self._batches = 0
        self._flops = self._slots = 0

    def begin(self) -> None:
        """A batch follows."""
        if self._batches % COUNT_EVERY < COUNTED:
            mode: Any = _Counting  # PyTorch gives its base class no types
            self._mode = mode()
            self._mode.__enter__()

    def end(self, num_padded_frames: int) -> None:
        """The batch is over, and had so many frames, padding among them."""
        if self._mode is None:
            self._batches += 1
            return
        self._mode.__exit__(None, None, None)
        self._flops, self._slots = self._flops + self._mode.flops, self._slots + num_padded_frames
        self._mode = None
        self._batches += 1
        if self._batches % COUNT_EVERY == COUNTED and self._slots:
            self.per_slot = self._flops / self._slots
            self._flops = self._slots = 0

    def abandon(self) -> None:
        """The batch came to no end."""
        if self._mode is not None:
            self._mode.__exit__(None, None, None)
            self._mode = None


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what PyTorch's own formulas say of each operation."""

    flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=result)
        return result


def counted_flops(action: Callable[[], object]) -> int:
    """FLOPs of an action, its backward passes too."""
    mode: Any = _Counting
    with mode() as counting:
        action()
        return int(counting.flops)


@cache
def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """FLOPs per second that this device does in large multiplications of matrices: the best of
    some.

    A machine that is busy with something else does less.
    """
    size, seconds = (768, 0.1) if device.type == "cpu" else (8192, 0.5)
    left = torch.full((size, size), 0.5, device=device, dtype=dtype)
    best, deadline = float("inf"), time.perf_counter() + seconds
    for repeat in range(1000):
        _wait(device)
        began = time.perf_counter()
        left @ left
        _wait(device)
        best = min(best, time.perf_counter() - began) if repeat else best  # the first warms up
        if repeat > 1 and time.perf_counter() > deadline:
            break
    return 2.0 * size**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
