"""Ctrl-C and a polite kill end a run after the current step instead of inside it."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignal:
    """Remembers that a stop was asked for. The second Ctrl-C interrupts at once, as usual."""

    def __init__(self) -> None:
        self.requested = False
        self._former: dict[signal.Signals, Any] = {}

    def listen(self) -> None:
        """Take over the signals; outside the main thread there are none to take."""
        if threading.current_thread() is threading.main_thread():
            for each in SIGNALS:
                self._former[each] = signal.signal(each, self._handle)

    def release(self) -> None:
        """Give the signals back."""
        for each, handler in self._former.items():
            signal.signal(each, handler)
        self._former.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self.release()
