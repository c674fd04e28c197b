"""Means and speed over some steps, for a line of the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from uslm_recipes.loop.reader import TrainBatch


class Meter:
    """Adds up what batches say; tensors stay on their device until they are read."""

    def __init__(self, peak_flops: float | None = None, num_devices: int = 1) -> None:
        """`peak_flops` is what one device can do, FLOPs per second; without it there is no MFU."""
        self.peak_flops, self.num_devices = peak_flops, num_devices
        self.reset()

    def reset(self) -> None:
        """Forget everything and start the clock."""
        self._sums: dict[str, Tensor | float] = {}
        self._counts: dict[str, int] = {}
        self.audio_seconds = 0.0
        self.tokens = self.padded_frames = 0
        self.waited = 0.0
        """Seconds in which the loop waited for data."""
        self.steps = 0
        self._began = time.monotonic()

    def add(self, values: Mapping[str, Tensor | float]) -> None:
        """Count one batch."""
        for name, value in values.items():
            plain = value.detach() if isinstance(value, Tensor) else value
            self._sums[name] = self._sums.get(name, 0.0) + plain
            self._counts[name] = self._counts.get(name, 0) + 1

    def count(self, train_batch: TrainBatch[Any], processes: int) -> None:
        """Count what a batch holds; those of the other processes are taken as alike."""
        self.tokens += train_batch.tokens * processes
        self.padded_frames += train_batch.padded_frames * processes
        self.audio_seconds += train_batch.audio_seconds * processes

    def pause(self, seconds: float) -> None:
        """Leave out time that was not spent on steps, such as a validation."""
        self._began += seconds

    def read(
        self,
        flops_per_slot: float | None = None,
        mean_of_all: Callable[[Tensor], Tensor] | None = None,
    ) -> dict[str, float]:
        """The means and the speed since the last reading; starts again.

        `mean_of_all` averages over processes.
        """
        sums = torch.stack([torch.as_tensor(s).float().cpu() for s in self._sums.values()])
        seconds = max(time.monotonic() - self._began, 1e-9)  # reading waits for the device
        if mean_of_all is not None:
            sums = mean_of_all(sums)
        pairs = zip(self._sums, sums.tolist(), strict=True)
        values = {name: total / self._counts[name] for name, total in pairs}
        values["steps_per_second"] = self.steps / seconds
        if self.audio_seconds:
            values["audio_seconds_per_second"] = self.audio_seconds / seconds
        if self.padded_frames:
            values["tokens_per_second"] = self.tokens / seconds
            values["padding"] = 1 - self.tokens / self.padded_frames
            if flops_per_slot is not None:
                flops = flops_per_slot * self.tokens / seconds
                values["tflops"] = flops / 1e12
                if self.peak_flops is not None:
                    values["mfu"] = flops / (self.peak_flops * self.num_devices)
        values["waiting"] = self.waited / seconds
        self.reset()
        return values
