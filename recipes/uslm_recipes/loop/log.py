"""Logs of a run: log.jsonl, lines on the console, accelerate's trackers."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from uslm_recipes.loop.bar import Bar

logger = logging.getLogger(__name__)
LOG_FILE = "log.jsonl"


class Tracker(Protocol):
    """Another receiver of the numbers: an Accelerator with trackers."""

    def log(self, values: dict[str, Any], step: int | None = None) -> None: ...


class RunLog:
    """The record of a run; only the main process writes it."""

    def __init__(self, out: Path, tracker: Tracker | None, *, is_main: bool) -> None:
        self.path = out / LOG_FILE
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
        line = json.dumps({"kind": kind, "step": step, **values}, ensure_ascii=False)
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as problem:  # a full disk must not end the run
            logger.warning("%s lacks a line: %s", self.path, problem)
        Bar.print_above(_console_line(kind, step, values))
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
