"""Draws batches when asked, or by a thread some batches ahead."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from torch import Tensor

from uslm_recipes.loop.progress import TrainingState

Batch = TypeVar("Batch")


@dataclass(frozen=True, kw_only=True)
class TrainBatch(Generic[Batch]):
    """A batch, and what the loop wants to know of it."""

    batch: Batch
    name: object = None
    """Names the data in messages."""
    audio_seconds: float = 0.0
    """Speech in it."""
    tokens: int = 0
    """Frames in it."""
    padded_frames: int = 0
    """The same with padding: what the models compute."""
    counts: Mapping[str, float] = field(default_factory=dict)
    """What its losses are means over (frames, texts ...), by name."""
    weights: Mapping[str, Tensor | float] = field(default_factory=dict)
    """What each of those losses has to be multiplied with. Batches that make one step, in one
    process or in several, then weigh by what they hold, as one batch of all of them would."""


class BatchReader(Generic[Batch]):
    """Hands out what `draw` makes of the streams, and keeps the places after what it handed out.

    With a thread ahead of the training, the streams are further on than a checkpoint must be; so
    `draw` must take all its randomness from the streams' places.
    """

    def __init__(
        self, state: TrainingState, draw: Callable[[], TrainBatch[Batch]], ahead: int
    ) -> None:
        self._state, self._draw = state, draw
        self._stopped = threading.Event()
        self._ready: queue.Queue[Any] = queue.Queue(maxsize=max(1, ahead))
        self._thread = threading.Thread(target=self._read, name="batches", daemon=True)
        if ahead:
            state.places = self._places()
            self._thread.start()

    def __next__(self) -> TrainBatch[Batch]:
        if self._thread.ident is None:  # never started
            return self._draw()
        train_batch, places = self._ready.get()
        if isinstance(train_batch, BaseException):
            raise train_batch
        self._state.places = places
        batch: TrainBatch[Batch] = train_batch
        return batch

    def close(self) -> None:
        """Let the thread end; what it read ahead is dropped."""
        self._stopped.set()
        if self._thread.ident is None:
            return
        while self._thread.is_alive():
            with suppress(queue.Empty):  # make room for what it waits to hand over
                self._ready.get(timeout=0.05)
        self._thread.join()

    def _read(self) -> None:
        try:
            while not self._stopped.is_set():
                self._ready.put((self._draw(), self._places()))
        except BaseException as problem:  # told where the batch is asked for
            self._ready.put((problem, {}))

    def _places(self) -> dict[str, dict[str, Any]]:
        return {name: stream.state_dict() for name, stream in self._state.streams.items()}
