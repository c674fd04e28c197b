"""One model for many callers: a bounded queue, one thread that works, each caller's own stream.

    submit -> waiting -> active: one turn after another -> chunks, to whoever iterates

A turn is what comes between two pulls at a request's stream: at most one step of stage 1 for all,
and one block of stage 2 for this one. So nobody waits longer than for the others' single blocks.

All requests of a model of ours are active at once, more than there are slots of stage 1: a slot
that is free goes to the request that has been without one for longest. So a short text after
many long ones waits for one segment of theirs, not for their ends.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from uslm.output.speech import AudioChunk
from uslm.serving.protocol import EngineStats, Result
from uslm.serving.shared import SharedSynthesizer
from uslm.serving.utterance import (
    Cancelled,
    EngineClosed,
    EngineFailed,
    QueueFull,
    TimedOut,
    Utterance,
)
from uslm.synthesis.live_text import LiveText
from uslm.synthesis.protocols import FrontEnd, Synthesizer, SynthesizerSettings
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.errors import ConfigError

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """Limits of an engine: how much at once, how long."""

    num_slots: int = 8
    """Rows of stage 1 in one step. A step always computes them all: more serve more callers, and
    slow a single one down."""
    max_waiting: int = 16
    """Requests beyond one for each slot, which wait for their turns; one more is refused."""
    max_seconds: float = 300.0
    """A request that has not ended after so long is given up."""
    ahead_seconds: float = 30.0
    """Speech that is made ahead of a caller who takes it slowly."""
    stall_seconds: float = 30.0
    """A caller who takes nothing for so long, while there is something, is given up."""

    def __post_init__(self) -> None:
        if self.num_slots < 1 or self.max_waiting < 0:
            raise ConfigError(f"num_slots must be 1 or more, max_waiting 0 or more: {self}")
        if min(self.max_seconds, self.ahead_seconds, self.stall_seconds) <= 0:
            raise ConfigError(f"max_seconds, ahead_seconds, stall_seconds must be above 0: {self}")


class Engine:
    """Speaks for many callers with one model. Models of ours share the steps of stage 1; any other
    answers one request at a time. Close it at the end, or use it as a context."""

    def __init__(
        self,
        synthesizer: Synthesizer,
        config: EngineConfig | None = None,
        *,
        frontend: FrontEnd | None = None,
    ) -> None:
        self.config = config or EngineConfig()
        self.synthesizer = synthesizer
        """The model as it was given."""
        self._pool, self._num_slots, self._max_active = None, 1, 1
        if (unit_model := synthesizer.unit_model) is not None:
            synthesizer = SharedSynthesizer(synthesizer, unit_model, self.config.num_slots)
            self._pool, self._num_slots = synthesizer.pool, self.config.num_slots
            self._max_active = self.config.num_slots + self.config.max_waiting
        self._tts = ZeroShotTTS(synthesizer, frontend)
        self._stats = EngineStats()
        self._waiting: deque[Utterance] = deque()
        self._calls: deque[tuple[Future[Any], Callable[[ZeroShotTTS], Any]]] = deque()
        self._active: list[Utterance] = []
        self._closing = self._stopping = False
        self._fault: BaseException | None = None  # what the thread died of
        self._recent: deque[float] = deque(maxlen=32)  # seconds that requests took
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="uslm-engine", daemon=True)
        self._thread.start()

    @property
    def sample_rate(self) -> int:
        """Samples per second of what is spoken, Hz."""
        return self.synthesizer.sample_rate

    @property
    def settings(self) -> SynthesizerSettings:
        """Name and languages of the model."""
        return self.synthesizer.settings

    @property
    def reads_live_text(self) -> bool:
        """Whether text that is still being written is spoken before it is whole."""
        return True

    @property
    def is_open(self) -> bool:
        """Whether requests are taken."""
        return not self._closing and self._fault is None and self._thread.is_alive()

    @property
    def has_failed(self) -> bool:
        """Whether a mistake of ours has ended the work for good."""
        return self._fault is not None

    def submit(self, text: str | LiveText, voice: VoicePrompt, **options: Any) -> Utterance:
        """Queue a text, or one that is still being written; `options` are those of
        `ZeroShotTTS.stream`.

        Raises QueueFull, or EngineClosed. Any mistake in the request comes out of the utterance.
        """
        if not isinstance(text, LiveText):
            return self.run(lambda tts: tts.stream(text, voice, **options))
        text.on_change(self._wake)
        return self.run(lambda tts: tts.stream(text, voice, **options), live_text=text)

    def run(
        self,
        start: Callable[[ZeroShotTTS], Iterator[AudioChunk]],
        *,
        live_text: LiveText | None = None,
    ) -> Utterance:
        """Queue any stream of the model's, `submit` for others than texts; raises as it does."""
        utterance = Utterance(
            lambda: start(self._tts),
            live_text=live_text,
            sample_rate=self.sample_rate,
            deadline=time.monotonic() + self.config.max_seconds,
            on_taken=self._wake,
        )
        with self._changed:
            self._check_room()
            self._waiting.append(utterance)
            self._changed.notify_all()
        return utterance

    def call(self, function: Callable[[ZeroShotTTS], Result]) -> "Future[Result]":
        """Let the worker do something else with the model between two turns: make a voice."""
        future: Future[Result] = Future()
        with self._changed:
            self._check_room()
            self._calls.append((future, function))
            self._changed.notify_all()
        return future

    def stats(self) -> EngineStats:
        """Counts until now."""
        with self._changed:
            stats = EngineStats(**vars(self._stats))
            stats.active = len(self._active)
            stats.waiting = len(self._waiting) + len(self._calls)
        if self._pool is not None:
            stats.steps, stats.row_steps = self._pool.steps, self._pool.row_steps
        return stats

    def refuse(self) -> None:
        """Take no more requests; those that are there go on. May be called by a signal handler."""
        self._closing = True

    def close(self, *, finish_seconds: float = 0.0) -> None:
        """Refuse what is new; finish what is there, for so long; end the rest with EngineClosed."""
        self.refuse()
        self._wake()
        self._thread.join(finish_seconds)
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _check_room(self) -> None:
        if self._fault is not None:
            raise EngineFailed(f"the engine has failed: {self._fault!r}")
        if self._closing:
            raise EngineClosed("the engine is shutting down; it takes no more requests")
        present = len(self._active) + len(self._waiting) + len(self._calls)
        # Whoever can begin at once does not wait; so a queue of length 0 is a queue.
        waiting = max(0, present - self._num_slots)
        if present >= self._num_slots + self.config.max_waiting:
            self._stats.refused += 1
            raise QueueFull(waiting, retry_seconds=self._retry_seconds())

    def _retry_seconds(self) -> float:
        """Seconds until there should be room: the time of one request, shared by those at work."""
        usual = sum(self._recent) / len(self._recent) if self._recent else 1.0
        return usual / self._num_slots

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        """Body of the thread. Whatever ends it, nobody is left waiting for an answer."""
        try:
            self._work()
        except BaseException as fault:
            LOG.critical("the engine has failed", exc_info=fault)
            with self._changed:
                self._fault = fault
            self._drop_all(EngineFailed(f"the engine has failed: {fault!r}"))

    def _work(self) -> None:
        """Loop until the end: one turn for each active request, again and again."""
        while True:
            with self._changed:
                # Those who have not taken their chunks must be looked at again now and then.
                while not self._can_go_on():
                    if self._closing and not (self._active or self._waiting or self._calls):
                        return
                    self._changed.wait(0.25 if self._active else None)
                self._active += self._next_in_line()
                turns = list(self._active)
                stopping = self._stopping
            begin = time.monotonic()
            self._answer_calls()
            for utterance in turns:
                if stopping:
                    utterance.cancel(EngineClosed("the engine was shut down"))
                self._turn(utterance)
            if stopping:
                self._drop_all(EngineClosed("the engine was shut down"))
            self._stats.busy_seconds += time.monotonic() - begin

    def _next_in_line(self) -> list[Utterance]:
        """Those who wait and whose turn has come; those who gave up, too, to be ended."""
        room = self._max_active - len(self._active)
        chosen = [each for each in self._waiting if each.is_due]
        chosen += [each for each in self._waiting if not each.is_due][: max(0, room)]
        self._waiting = deque(each for each in self._waiting if each not in chosen)
        return chosen

    def _can_go_on(self) -> bool:
        if self._stopping and (self._active or self._waiting or self._calls):
            return True
        has_room = len(self._active) < self._max_active
        return (
            bool(self._calls)
            or any(has_room or each.is_due for each in self._waiting)
            or any(self._wants_turn(each) for each in self._active)
        )

    def _wants_turn(self, utterance: Utterance) -> bool:
        stalled = utterance.idle_seconds > self.config.stall_seconds
        return utterance.is_due or stalled or self._can_advance(utterance)

    def _can_advance(self, utterance: Utterance) -> bool:
        is_ahead = utterance.ahead_seconds >= self.config.ahead_seconds
        return not is_ahead and not utterance.is_starved

    def _turn(self, utterance: Utterance) -> None:
        """Bring a request a little further, or to its end."""
        if utterance.is_cancelled:
            self._end(utterance, "cancelled", utterance.reason)
        elif utterance.is_due:
            seconds = self.config.max_seconds
            self._end(utterance, "timed_out", TimedOut(f"it took more than {seconds:g} s"))
        elif utterance.idle_seconds > self.config.stall_seconds:
            seconds = self.config.stall_seconds
            reason = Cancelled(f"nobody took what was made for {seconds:g} s")
            self._end(utterance, "cancelled", reason)
        elif self._can_advance(utterance):
            try:
                chunk = utterance.advance()
            except Exception as error:  # its own, whatever it is: the others go on
                self._end(utterance, "failed", error)
                return
            if chunk is None:
                self._recent.append(utterance.seconds)
                self._end(utterance, "done", None)
            else:
                self._stats.audio_seconds += chunk.waveform.shape[-1] / self.sample_rate

    def _end(self, utterance: Utterance, outcome: str, error: Exception | None) -> None:
        with self._changed:
            setattr(self._stats, outcome, getattr(self._stats, outcome) + 1)
            self._active.remove(utterance)
        utterance.end(error)

    def _drop_all(self, reason: EngineClosed) -> None:
        """End whatever is there."""
        with self._changed:
            dropped = [*self._active, *self._waiting]
            self._active, self._waiting = [], deque()
            calls, self._calls = self._calls, deque()
            self._stats.cancelled += len(dropped)
        for utterance in dropped:
            with suppress(BaseException):  # whatever it is, those that come after are told too
                utterance.end(reason)
        for future, _ in calls:
            if future.set_running_or_notify_cancel():
                future.set_exception(reason)

    def _answer_calls(self) -> None:
        while True:
            with self._changed:
                if not self._calls:
                    return
                future, function = self._calls.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function(self._tts))
            except BaseException as error:
                future.set_exception(error)
                if not isinstance(error, Exception):
                    raise
