"""Voices that a visitor sees: those of this machine's user, or only what he made himself."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
import weakref
from pathlib import Path

from uslm.voices.store import VoiceStore


class SessionVoices:
    """Places where voices are kept: one folder for whoever comes, or one for each visitor, which
    goes when he does."""

    def __init__(self, store: VoiceStore | None) -> None:
        """`store` is for all; None: each visitor has his own."""
        self._store = store
        self._root: Path | None = None
        self._lock = threading.Lock()

    @property
    def is_shared(self) -> bool:
        """Whether voices stay, and all visitors have the same."""
        return self._store is not None

    def store(self, session: str | None) -> VoiceStore:
        """The voices of a visitor, by Gradio's hash of his session."""
        if self._store is not None:
            return self._store
        return VoiceStore(self._folder(session))

    def leave(self, session: str | None) -> None:
        """The visitor is gone; so are the voices that only he had."""
        if self._store is None:
            shutil.rmtree(self._folder(session), ignore_errors=True)

    def _folder(self, session: str | None) -> Path:
        with self._lock:
            if self._root is None:
                self._root = Path(tempfile.mkdtemp(prefix="uslm-voices-"))
                weakref.finalize(self, shutil.rmtree, self._root, ignore_errors=True)
        # The hash comes from the browser: no part of it may become part of a path.
        return self._root / hashlib.sha256((session or "").encode()).hexdigest()
