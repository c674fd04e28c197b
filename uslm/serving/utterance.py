"""A request on its way through an engine: made by one thread, taken by another."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from uslm.output.speech import AudioChunk
from uslm.synthesis.live_text import LiveText

LOG = logging.getLogger(__name__)


class EngineError(RuntimeError):
    """The engine could not answer; the request itself may be fine."""


class QueueFull(EngineError):
    """Too many are waiting already."""

    def __init__(self, waiting: int, *, retry_seconds: float) -> None:
        super().__init__(f"{waiting} requests are waiting already; try again later")
        self.retry_seconds = retry_seconds
        """When there should be room again."""


class TimedOut(EngineError):
    """It took longer than it may."""


class Cancelled(EngineError):
    """Nobody wanted it any more."""


class EngineClosed(EngineError):
    """The engine is shut down."""


class EngineFailed(EngineClosed):
    """The engine's thread has died of a mistake of ours; only a new engine helps."""


class Utterance:
    """Chunks as they are made: iterate over them, or `listen` and `take`.

    The engine calls `advance` and `end`, the caller everything else; both may be any thread.
    """

    def __init__(
        self,
        start: Callable[[], Iterator[AudioChunk]],
        *,
        sample_rate: int,
        deadline: float,
        on_taken: Callable[[], None],
        live_text: LiveText | None = None,
    ) -> None:
        self.deadline = deadline
        """When it is given up, in seconds of `time.monotonic`."""
        self.reason: Exception = Cancelled("it was cancelled")
        """Why it was cancelled, if it was."""
        self._live_text = live_text
        self._start, self._sample_rate, self._on_taken = start, sample_rate, on_taken
        self._stream: Iterator[AudioChunk] | None = None
        self._chunks: deque[AudioChunk] = deque()
        self._ahead = 0  # samples in them
        self._begin = self._moved = time.monotonic()
        self._is_cancelled = self._is_over = False
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._listener: Callable[[], None] | None = None

    # What the caller does.

    def __iter__(self) -> Iterator[AudioChunk]:
        """Wait for each chunk; raises what went wrong."""
        while True:
            with self._changed:
                while not self._chunks and not self._is_over:
                    self._changed.wait()
            chunk = self.take()
            if chunk is None:
                return
            yield chunk

    def take(self) -> AudioChunk | None:
        """The next chunk, or None if there is none (yet); raises what went wrong."""
        with self._changed:
            if not self._chunks:
                if self._error is not None:
                    raise self._error
                return None
            chunk = self._chunks.popleft()
            self._ahead -= chunk.waveform.shape[-1]
            self._moved = time.monotonic()
        self._on_taken()
        return chunk

    def listen(self, listener: Callable[[], None]) -> None:
        """Have this called, from the engine's thread, whenever there is something to take."""
        with self._changed:
            self._listener = listener
        listener()

    def cancel(self, reason: Exception | None = None) -> None:
        """The work stops at its next turn; nothing happens if it is over."""
        with self._changed:
            if self._is_over or self._is_cancelled:
                return
            self._is_cancelled = True
            self.reason = reason or self.reason
        self._on_taken()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come, beside what is there to be taken."""
        return self._is_over

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody cancelled it."""
        return self._is_cancelled

    # What the engine does.

    @property
    def is_due(self) -> bool:
        """Whether it is to be ended: cancelled, or past its deadline."""
        return self._is_cancelled or time.monotonic() > self.deadline

    @property
    def is_starved(self) -> bool:
        """Whether nothing can be made before more of its text comes."""
        return self._live_text is not None and self._live_text.is_starved

    @property
    def seconds(self) -> float:
        """Since it was asked for."""
        return time.monotonic() - self._begin

    @property
    def ahead_seconds(self) -> float:
        """Speech that is made and not taken."""
        return self._ahead / self._sample_rate

    @property
    def idle_seconds(self) -> float:
        """For how long nobody has taken anything, though there is something."""
        with self._changed:
            return time.monotonic() - self._moved if self._chunks else 0.0

    def advance(self) -> AudioChunk | None:
        """Let the stream make one more chunk, perhaps an empty one; None at its end."""
        if self._stream is None:
            self._stream = self._start()
        chunk = next(self._stream, None)
        if chunk is None:
            return None
        if chunk.waveform.numel() or chunk.report is not None or chunk.is_final:
            self.add(chunk)
        return chunk

    def add(self, chunk: AudioChunk) -> None:
        """One more chunk to be taken."""
        with self._changed:
            if not self._chunks:
                self._moved = time.monotonic()
            self._chunks.append(chunk)
            self._ahead += chunk.waveform.shape[-1]
        self._tell()

    def end(self, error: Exception | None) -> None:
        """Nothing more will come; the work that is left is let go of."""
        stream, self._stream = self._stream, None
        try:
            close = getattr(stream, "close", None)
            if close is not None:
                close()
        except Exception as problem:  # of letting go: the caller is told, unless of something worse
            error = error or problem
        finally:
            with self._changed:
                self._is_over, self._error = True, error
            self._tell()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()
            listener = self._listener
        if listener is not None:
            try:
                listener()
            except Exception:  # the caller's own mistake must not end the work for the others
                LOG.exception("a listener has failed")
