"""Speech that visitors cancelled: what was made until then can still be downloaded."""

from __future__ import annotations

import threading
from collections import OrderedDict

from uslm_demo.widgets.sounds import Sound

MAX_KEPT = 64
"""Of so many visitors; the oldest are forgotten first."""


class Unfinished:
    """The sound that each visitor's speech is going into."""

    def __init__(self) -> None:
        self._sounds: OrderedDict[str | None, Sound] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, session: str | None, sound: Sound) -> None:
        """Work has begun that goes into this sound."""
        with self._lock:
            self._sounds.pop(session, None)
            self._sounds[session] = sound
            while len(self._sounds) > MAX_KEPT:
                self._sounds.popitem(last=False)

    def finish(self, session: str | None, sound: Sound) -> None:
        """The work came to its end; nothing of it is left over."""
        with self._lock:
            if self._sounds.get(session) is sound:
                del self._sounds[session]

    def take(self, session: str | None) -> Sound | None:
        """The sound that was made before the visitor cancelled; None where nothing was in work."""
        with self._lock:
            return self._sounds.pop(session, None)
