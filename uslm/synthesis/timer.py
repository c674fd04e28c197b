"""A stopwatch for the stages of one call."""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from uslm.output.speech import Timings

Item = TypeVar("Item")


class StageTimer:
    """Adds up seconds by stage. One call owns it; it is not shared."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._first_audio: float | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside the `with` block for this stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] += time.perf_counter() - start

    def each(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """The items; the time to make each counts for this stage."""
        iterator = iter(items)
        while True:
            with self.stage(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def audio(self) -> None:
        """The first samples are there; later calls change nothing."""
        if self._first_audio is None:
            self._first_audio = time.perf_counter() - self._start

    def timings(self) -> Timings:
        """Seconds counted until now."""
        return Timings(
            **self._seconds,
            total=time.perf_counter() - self._start,
            first_audio=self._first_audio or 0.0,
        )
