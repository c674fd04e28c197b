"""Requests that come, are read, are left and fail in any order: each gets what it gets alone."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
import torch
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from uslm.output.joiner import JoinConfig
from uslm.output.speech import AudioChunk
from uslm.serving.engine import Engine, EngineConfig
from uslm.serving.utterance import Cancelled, EngineClosed, EngineFailed, Utterance
from uslm.synthesis.protocols import FrontEnd
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.config import BundleConfig, LengthConfig
from uslm.systems.two_stage.tiny import tiny_bundle, tiny_voice
from uslm.text.frontend import FrontendResult
from uslm.tts import ZeroShotTTS
from uslm_tokenizer.errors import TextError

SENTENCES = (
    "The dog ran home at nine.",
    "She sat by the old river.",
    "Nobody had told him about it.",
)
"""None is so short that it would join its neighbour."""
UNREADABLE = "unreadable"
WAIT_SECONDS = 60.0


@functools.cache
def bundle() -> Bundle:
    length = LengthConfig(min_frames_per_symbol=0.2, max_frames_per_symbol=0.4, margin_frames=5)
    keep = JoinConfig(trim_silence=False)
    return tiny_bundle(BundleConfig(name="tiny", length=length, join=keep))


def text_of(num_sentences: int) -> str:
    return " ".join(SENTENCES[i % len(SENTENCES)] for i in range(num_sentences))


@functools.cache
def alone(num_sentences: int, seed: int) -> torch.Tensor:
    tts = ZeroShotTTS(bundle())
    return tts.generate(text_of(num_sentences), tiny_voice(bundle()), seed=seed).waveform


class Unlucky:
    """A front end that makes of one word what stage 1 does not have."""

    def __init__(self, inner: FrontEnd) -> None:
        self._inner, self.language = inner, inner.language

    def __call__(self, text: str) -> FrontendResult:
        result = self._inner(text)
        return replace(result, text_ids=(10**6,)) if UNREADABLE in text else result


def read(utterance: Utterance) -> Iterator[AudioChunk]:
    """Its chunks, as they come; a request that is forgotten fails the test instead of hanging."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        is_over = utterance.is_over
        chunk = utterance.take()
        if chunk is not None:
            yield chunk
        elif is_over:
            return
        else:
            assert time.monotonic() < end, "the request was forgotten"
            time.sleep(0.001)


class EngineMachine(RuleBasedStateMachine):
    """An engine of few slots and its callers."""

    def __init__(self) -> None:
        super().__init__()
        config = EngineConfig(num_slots=3, max_waiting=200, max_seconds=WAIT_SECONDS)
        self.engine = Engine(bundle(), config, frontend=Unlucky(bundle().frontend()))
        self.there: list[tuple[tuple[int, int], Utterance, list[torch.Tensor]]] = []
        self.wrong: list[Utterance] = []
        self.left: list[Utterance] = []

    @initialize(sizes=st.lists(st.integers(1, 12), min_size=3, max_size=5), seed=st.integers(0, 1))
    def begin(self, sizes: list[int], seed: int) -> None:
        self.submit(sizes, seed)

    @rule(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=3), seed=st.integers(0, 1))
    def submit(self, sizes: list[int], seed: int) -> None:
        for size in sizes:
            utterance = self.engine.submit(text_of(size), tiny_voice(bundle()), seed=seed)
            self.there.append(((size, seed), utterance, []))

    @rule(data=st.data(), count=st.integers(1, 5))
    def listen(self, data: Any, count: int) -> None:
        if self.there:
            _, utterance, received = self.there[data.draw(st.integers(0, len(self.there) - 1))]
            received += [chunk.waveform for chunk in islice(read(utterance), count)]

    @rule(data=st.data())
    def leave(self, data: Any) -> None:
        if self.there:
            _, utterance, _ = self.there.pop(data.draw(st.integers(0, len(self.there) - 1)))
            utterance.cancel()
            self.left.append(utterance)

    @rule(in_the_model=st.booleans())
    def fail(self, in_the_model: bool) -> None:
        """In its own text, or in the step that all share, while it seats a row of this one."""
        text = f"{text_of(2)} {UNREADABLE}." if in_the_model else "..."
        self.wrong.append(self.engine.submit(text, tiny_voice(bundle()), seed=0))

    def teardown(self) -> None:
        try:
            for utterance in self.wrong:
                with pytest.raises((TextError, IndexError)):
                    list(read(utterance))
            for what, utterance, received in self.there:
                received += [chunk.waveform for chunk in read(utterance)]
                assert torch.equal(torch.cat(received, dim=1), alone(*what)), what
            for utterance in self.left:
                with suppress(Cancelled):
                    list(read(utterance))
            assert self.engine._pool is not None and self.engine._pool.num_rows == 0
            stats = self.engine.stats()
            assert (stats.active, stats.waiting) == (0, 0)
            assert stats.done >= len(self.there) and stats.failed == len(self.wrong)
            assert stats.done + stats.cancelled == len(self.there) + len(self.left)
        finally:
            self.engine.close()


def test_everyone_gets_what_they_get_alone() -> None:
    run_state_machine_as_test(
        EngineMachine,
        settings=settings(
            max_examples=12, stateful_step_count=8,
            phases=[Phase.generate],  # to make a failure smaller would take minutes
        ),
    )  # fmt: skip


def test_a_short_text_behind_long_ones_is_not_the_last() -> None:
    """Slots go round among requests: it waits for a segment, not for the requests before it."""
    voice = tiny_voice(bundle())
    with Engine(bundle(), EngineConfig(num_slots=2)) as engine:
        long = [engine.submit(text_of(5), voice, seed=seed) for seed in range(4)]
        chunks = [read(utterance) for utterance in long]
        for each in chunks[:2]:
            next(each)
        short = engine.submit(text_of(1), voice, seed=0)
        received = torch.cat([chunk.waveform for chunk in read(short)], dim=1)
        assert not any(utterance.is_over for utterance in long)
        assert torch.equal(received, alone(1, 0))
        for each in chunks:
            assert list(each)[-1].is_final


class Fatal(BaseException):
    """Ends a thread."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_an_engine_that_has_died() -> None:
    engine = Engine(bundle(), EngineConfig(num_slots=2))
    voice = tiny_voice(bundle())

    def die(tts: ZeroShotTTS) -> None:
        there.extend(engine.submit(text_of(12), voice, seed=seed) for seed in range(3))
        there.append(engine.call(lambda tts: None))
        raise Fatal

    there: list[Any] = []
    with pytest.raises(Fatal):
        engine.call(die).result(WAIT_SECONDS)
    for utterance in there[:-1]:
        with pytest.raises(EngineFailed):
            list(read(utterance))
    with pytest.raises(EngineFailed):
        there[-1].result(WAIT_SECONDS)
    with pytest.raises(EngineFailed):
        engine.submit(text_of(1), voice)
    assert engine.has_failed and not engine.is_open
    engine.close()
    assert issubclass(EngineFailed, EngineClosed)


def test_a_mistake_of_a_listener_or_of_letting_go_ends_nobody_else() -> None:
    voice = tiny_voice(bundle())

    def stumble() -> None:
        raise RuntimeError("the loop is closed")

    def clumsy(tts: ZeroShotTTS) -> Iterator[AudioChunk]:
        try:
            yield from tts.stream(text_of(12), voice, seed=0)
        finally:
            raise RuntimeError("could not let go")

    with Engine(bundle(), EngineConfig(num_slots=2)) as engine:
        first = engine.submit(text_of(2), voice, seed=0)
        second = engine.run(clumsy)
        third = engine.submit(text_of(2), voice, seed=1)
        next(read(second))
        with pytest.raises(RuntimeError, match="the loop is closed"):
            first.listen(stumble)  # once here, later in the engine's thread
        second.cancel()
        for seed, utterance in enumerate((first, third)):
            received = torch.cat([chunk.waveform for chunk in read(utterance)], dim=1)
            assert torch.equal(received, alone(2, seed))
        with pytest.raises(Cancelled):
            list(read(second))
