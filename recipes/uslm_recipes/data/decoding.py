"""Decodes recordings in worker processes; one that kills its worker is told and left out."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from uslm_recipes.data.audio_files import AudioLimits, read_samples
from uslm_recipes.data.augment.perturb import Perturbation
from uslm_recipes.data.recording import Segment
from uslm_tokenizer.errors import AudioError, EnvironmentProblem

MAX_KILLED = 3  # in a row: then it is the machine, not the file
CHUNK = 16  # files handed to a worker at a time

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """A recording to decode, and the copies to make of it."""

    audio: Path
    segment: Segment | None
    copies: tuple[Perturbation, ...]


Samples = NDArray[np.int16]
Decoded = list[Samples] | str
"""The samples and those of each copy; or why there are none."""


class Decoders:
    """Worker processes; none of them decodes in this one.

    with Decoders(num_workers, limits) as decoders:
        for decoded in decoders.decode(tasks): ...
    """

    def __init__(self, num_workers: int, limits: AudioLimits) -> None:
        self.num_workers = num_workers
        self.limits = limits
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Decoders:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def begin(self, tasks: Sequence[Task]) -> list[Future[list[Decoded]]]:
        """Hand tasks to the workers; `decode` takes what they made."""
        if not self.num_workers:
            return []
        self._pool = self._pool or _workers(self.num_workers)
        chunks = [tasks[first : first + CHUNK] for first in range(0, len(tasks), CHUNK)]
        try:
            return [self._pool.submit(_decode_all, chunk, self.limits) for chunk in chunks]
        except BrokenProcessPool:
            self._pool = None
            return self.begin(tasks)

    def decode(
        self, tasks: Sequence[Task], begun: Sequence[Future[list[Decoded]]]
    ) -> Iterator[Decoded]:
        """The outcome of each task, in order."""
        if not self.num_workers:
            yield from map(self._decode_here, tasks)
            return
        for number, future in enumerate(begun):
            try:
                decoded = future.result()
            except BrokenProcessPool:
                self._pool = None
                rest = tasks[number * CHUNK :]
                log.warning("a worker was killed; its files are decoded again, one by one")
                yield from self._one_by_one(rest)
                return
            yield from decoded

    def _decode_here(self, task: Task) -> Decoded:
        return _decode(task, self.limits)

    def _one_by_one(self, tasks: Sequence[Task]) -> Iterator[Decoded]:
        """Each file in a process that nothing else depends on."""
        killed, pool = 0, None
        for task in tasks:
            pool = pool or _workers(1)
            try:
                [decoded] = pool.submit(_decode_all, [task], self.limits).result()
                killed = 0
            except BrokenProcessPool:
                pool, decoded, killed = None, "it kills the process that decodes it", killed + 1
            if killed == MAX_KILLED:
                raise EnvironmentProblem(
                    f"every worker is killed, the last at {task.audio}, perhaps for want of memory;"
                    " try --workers 0. The same command goes on where it stopped"
                ) from None
            yield decoded
        if pool is not None:
            pool.shutdown()


def _workers(number: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(number, initializer=_end_with_the_parent)


def _end_with_the_parent() -> None:
    """A worker whose parent was killed would wait for its next task for ever."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _decode_all(tasks: Sequence[Task], limits: AudioLimits) -> list[Decoded]:
    return [_decode(task, limits) for task in tasks]


def _decode(task: Task, limits: AudioLimits) -> Decoded:
    try:
        samples = read_samples(task.audio, limits, task.segment)
    except AudioError as problem:
        return str(problem)
    copies = [copy(samples, limits.sample_rate) for copy in task.copies]
    longest = int(limits.max_seconds * limits.sample_rate)
    usable = [min(len(copy), longest) // limits.hop_length * limits.hop_length for copy in copies]
    return [samples, *(copy[:end] for copy, end in zip(copies, usable, strict=True))]
