"""What a run writes while it trains: log.jsonl, a line on the console, accelerate's trackers."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from accelerate import Accelerator


class Meter:
    """Means of values over some steps; tensors stay on their device until they are read."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything and start the clock."""
        self._sums: dict[str, Tensor | float] = {}
        self._counts: dict[str, int] = {}
        self.audio_seconds = 0.0
        self.steps = 0
        self._began = time.monotonic()

    def add(self, values: Mapping[str, Tensor | float]) -> None:
        """Count one batch."""
        for name, value in values.items():
            plain = value.detach() if isinstance(value, Tensor) else value
            self._sums[name] = self._sums.get(name, 0.0) + plain
            self._counts[name] = self._counts.get(name, 0) + 1

    def pause(self, seconds: float) -> None:
        """Leave out time that was not spent on steps, such as a validation."""
        self._began += seconds

    def read(self) -> dict[str, float]:
        """The means and the speed since the last reading; starts anew."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        sums = torch.stack([torch.as_tensor(s).float().cpu() for s in self._sums.values()]).tolist()
        means = {n: s / self._counts[n] for n, s in zip(self._sums, sums, strict=True)}
        speed = {"steps_per_second": self.steps / seconds}
        if self.audio_seconds:
            speed["audio_seconds_per_second"] = self.audio_seconds / seconds
        self.reset()
        return {**means, **speed}


class RunLog:
    """The record of a run; only the main process writes it."""

    def __init__(self, out: Path, tracker: Accelerator | None, *, is_main: bool) -> None:
        self.path = out / "log.jsonl"
        self._tracker = tracker
        self._is_main = is_main

    def begin(self, step: int, *, resumed_from: Path | None) -> None:
        """Open the record at a step; lines of steps that will be done again are removed."""
        if not self._is_main:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in self._lines() if _step_of(line) <= step]
        temporary = self.path.with_suffix(".part")
        temporary.write_text("".join(kept), encoding="utf-8")
        os.replace(temporary, self.path)
        if resumed_from is not None:
            self.record("resume", step, {"checkpoint": resumed_from.name})

    def record(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Add one line, on the console too; numbers go to the trackers as well."""
        if not self._is_main:
            return
        line = {"kind": kind, "step": step, **values}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        print(_console_line(kind, step, values), flush=True)
        if self._tracker is not None:
            numbers = {f"{kind}/{k}": v for k, v in values.items() if isinstance(v, (int, float))}
            self._tracker.log(numbers, step=step)

    def _lines(self) -> list[str]:
        if not self.path.is_file():
            return []
        return self.path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)


def _step_of(line: str) -> float:
    """The step of a line; a line that was cut off belongs to no step."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _console_line(kind: str, step: int, values: Mapping[str, Any]) -> str:
    parts = [f"{name} {_short(value)}" for name, value in values.items()]
    return f"{kind:>8} {step:7d}  " + "  ".join(parts)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
