"""Text that somebody is still writing, for an engine that has others to speak meanwhile."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator

from uslm_tokenizer.errors import TextError


class LiveText:
    """Fragments as they are pushed; read once. Where nothing has come yet, reading gives an empty
    fragment instead of waiting, and `is_starved` until something comes."""

    def __init__(self) -> None:
        self._fragments: deque[str] = deque()
        self._is_finished = self._is_starved = False
        self._lock = threading.Lock()
        self._on_change: Callable[[], None] = _nothing

    def push(self, fragment: str) -> None:
        """More of the text, from any thread. TextError once it is finished."""
        with self._lock:
            if self._is_finished:
                raise TextError("the text is finished: nothing can be added to it")
            self._fragments.append(fragment)
            self._is_starved = False
        self._on_change()

    def finish(self) -> None:
        """Say that this was all."""
        with self._lock:
            self._is_finished, self._is_starved = True, False
        self._on_change()

    @property
    def is_starved(self) -> bool:
        """Whether its reader has read all that came, and waits for more."""
        return self._is_starved

    def on_change(self, call: Callable[[], None]) -> None:
        """Have this called whenever something was pushed, or it was finished."""
        self._on_change = call

    def __iter__(self) -> Iterator[str]:
        while True:
            with self._lock:
                if not self._fragments and self._is_finished:
                    return
                self._is_starved = not self._fragments
                fragment = self._fragments.popleft() if self._fragments else ""
            yield fragment


def _nothing() -> None:
    pass
