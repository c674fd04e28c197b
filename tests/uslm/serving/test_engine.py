"""Many callers, one model: everyone gets what they would get alone, and nobody is forgotten."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from uslm.generate.autoregressive import SpeakUnits
from uslm.generate.length import LengthConfig
from uslm.generate.sampling import Sampling
from uslm.output.joiner import JoinConfig
from uslm.output.speech import AudioChunk
from uslm.serving.engine import Engine, EngineConfig
from uslm.serving.shared import SharedSynthesizer
from uslm.serving.utterance import Cancelled, EngineClosed, QueueFull, TimedOut, Utterance
from uslm.synthesis.protocols import SegmentSynthesizer, Synthesizer
from uslm.synthesis.timer import StageTimer
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.config import BundleConfig
from uslm.systems.two_stage.tiny import speech_like, tiny_bundle, tiny_voice
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.errors import TextError

HASTY = LengthConfig(min_frames_per_symbol=0.5, max_frames_per_symbol=1.0, margin_frames=15)
TEXT = "Hello there. How are you?"
LONG = "This goes on and on and on. " * 40


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    # Random weights say nothing but silence now and then: it is kept.
    keep = JoinConfig(trim_silence=False)
    return tiny_bundle(BundleConfig(name="tiny", length=HASTY, join=keep))


@pytest.fixture(scope="module")
def voice(bundle: Bundle) -> VoicePrompt:
    return tiny_voice(bundle)


@pytest.fixture
def start(bundle: Bundle) -> Iterator[Callable[..., Engine]]:
    engines: list[Engine] = []

    def begin(synthesizer: Synthesizer = bundle, **options: Any) -> Engine:
        engines.append(Engine(synthesizer, EngineConfig(**{"num_slots": 3, **options})))
        return engines[-1]

    yield begin
    for engine in engines:
        engine.close()


def joined(chunks: Iterator[AudioChunk]) -> torch.Tensor:
    return torch.cat([chunk.waveform for chunk in chunks], dim=1)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.005)


class Blocked:
    """Holds the worker of an engine until the `with` block ends."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.go = engine, threading.Event()

    def __enter__(self) -> None:
        held = threading.Event()

        def hold(tts: ZeroShotTTS) -> None:
            held.set()
            self.go.wait(30)

        self.engine.call(hold)
        assert held.wait(30)

    def __exit__(self, *exception: object) -> None:
        self.go.set()


def test_a_shared_model_is_a_speaker(bundle: Bundle) -> None:
    assert isinstance(SharedSynthesizer(bundle, bundle.semantic, 2), Synthesizer)


@pytest.mark.parametrize(
    "options", [{}, {"speed": 1.25}, {"temperature": 0.0}, {"verify": True, "retries": 1}]
)
def test_together_as_alone(
    start: Callable[..., Engine], bundle: Bundle, voice: VoicePrompt, options: dict[str, Any]
) -> None:
    """Same seed, same samples: here, in the crowd, and without an engine."""
    engine, alone = start(), ZeroShotTTS(bundle)
    others = [engine.submit(TEXT, voice, seed=seed) for seed in range(40, 43)]
    asked = [engine.submit(TEXT, voice, seed=seed, **options) for seed in range(2)]
    for seed, utterance in enumerate(asked):
        expected = alone.generate(TEXT, voice, seed=seed, **options)
        chunks = list(utterance)
        assert torch.equal(joined(iter(chunks)), expected.waveform)
        assert chunks[-1].is_final
        reports = tuple(chunk.report for chunk in chunks if chunk.report is not None)
        assert reports == expected.segments
    for seed, utterance in enumerate(others, start=40):
        assert torch.equal(joined(iter(utterance)), alone.generate(TEXT, voice, seed=seed).waveform)
    stats = engine.stats()
    assert stats.done == 5 and stats.active == stats.waiting == 0
    assert stats.row_steps > 1.5 * stats.steps  # they did share steps


def test_the_short_one_is_done_before_the_long_one(
    start: Callable[..., Engine], voice: VoicePrompt
) -> None:
    engine = start()
    long = engine.submit(LONG, voice, seed=1)
    next(iter(long))
    assert list(engine.submit("Hi there.", voice, seed=1))
    assert not long.is_over
    long.cancel()


def test_one_too_many_is_refused(start: Callable[..., Engine], voice: VoicePrompt) -> None:
    engine = start(max_waiting=2)
    with Blocked(engine):
        asked = [engine.submit("Hi there.", voice, seed=seed) for seed in range(5)]
        with pytest.raises(QueueFull) as refused:
            engine.submit("Hi there.", voice)
        with pytest.raises(QueueFull):
            engine.call(lambda tts: None)
    assert refused.value.retry_seconds > 0
    assert all(list(utterance)[-1].is_final for utterance in asked)
    assert engine.stats().refused == 2


def test_cancelling_stops_the_work(start: Callable[..., Engine], voice: VoicePrompt) -> None:
    engine = start()
    utterance = engine.submit(LONG, voice, seed=1)
    next(iter(utterance))
    utterance.cancel()
    wait_until(lambda: utterance.is_over)
    steps = engine.stats().steps
    assert engine._pool is not None and engine._pool.num_rows == 0
    engine.call(lambda tts: None).result(30)
    assert engine.stats().steps == steps and engine.stats().cancelled == 1
    with pytest.raises(Cancelled):
        list(utterance)


def test_who_waits_may_leave_the_queue(start: Callable[..., Engine], voice: VoicePrompt) -> None:
    engine = start(num_slots=1)
    first = engine.submit(LONG, voice, seed=1)
    waiting = engine.submit(TEXT, voice, seed=1)
    next(iter(first))
    waiting.cancel()
    wait_until(lambda: waiting.is_over)
    assert not first.is_over and engine.stats().waiting == 0
    first.cancel()


def test_a_listener_is_told(start: Callable[..., Engine], voice: VoicePrompt) -> None:
    reported = threading.Event()
    utterance = start().submit("Hi there.", voice, seed=1)
    utterance.listen(reported.set)
    chunks: list[AudioChunk] = []
    while True:
        assert reported.wait(30)
        reported.clear()
        is_over = utterance.is_over
        while (chunk := utterance.take()) is not None:
            chunks.append(chunk)
        if is_over:
            break
    assert chunks[-1].is_final


def test_it_does_not_run_far_ahead_of_its_caller(
    start: Callable[..., Engine], bundle: Bundle, voice: VoicePrompt
) -> None:
    engine, text = start(ahead_seconds=0.5), LONG[:200]
    utterance = engine.submit(text, voice, seed=1)
    wait_until(lambda: utterance.ahead_seconds >= 0.5)
    time.sleep(0.05)
    made = engine.stats().audio_seconds
    engine.call(lambda tts: None).result(30)
    assert engine.stats().audio_seconds == made
    whole = ZeroShotTTS(bundle).generate(text, voice, seed=1)
    assert made < whole.seconds / 2
    assert torch.equal(joined(iter(utterance)), whole.waveform)


def test_who_takes_nothing_is_given_up(start: Callable[..., Engine], voice: VoicePrompt) -> None:
    engine = start(ahead_seconds=0.5, stall_seconds=0.1)
    utterance = engine.submit(LONG, voice, seed=1)
    wait_until(lambda: utterance.is_over)
    with pytest.raises(Cancelled, match="nobody took"):
        list(utterance)


def test_what_takes_too_long_is_given_up(start: Callable[..., Engine], voice: VoicePrompt) -> None:
    engine = start(max_seconds=0.2)
    with Blocked(engine):
        utterance = engine.submit(TEXT, voice, seed=1)
        time.sleep(0.25)
    with pytest.raises(TimedOut):
        list(utterance)
    assert engine.stats().timed_out == 1


def test_a_mistake_comes_out_where_it_was_made(
    start: Callable[..., Engine], voice: VoicePrompt
) -> None:
    engine = start()
    wrong, right = engine.submit("...", voice, seed=1), engine.submit(TEXT, voice, seed=1)
    with pytest.raises(TextError):
        list(wrong)
    assert list(right)[-1].is_final
    assert (engine.stats().failed, engine.stats().done) == (1, 1)


class Clumsy(SharedSynthesizer):
    """Its readers fail for one voice, in the middle."""

    def segment_synthesizer(
        self, sampling: Sampling, timer: StageTimer, speak: SpeakUnits | None = None
    ) -> SegmentSynthesizer:
        if sampling.temperature == 4.0:
            raise RuntimeError("out of luck")
        return super().segment_synthesizer(sampling, timer, speak)


def test_our_own_mistake_harms_nobody_else(
    start: Callable[..., Engine], bundle: Bundle, voice: VoicePrompt
) -> None:
    clumsy = Clumsy(bundle, bundle.semantic, 2)
    clumsy.unit_model = None  # one at a time
    engine = start(clumsy)
    unlucky = engine.submit(TEXT, voice, seed=1, temperature=4.0)
    lucky = engine.submit(TEXT, voice, seed=1)
    with pytest.raises(RuntimeError, match="out of luck"):
        list(unlucky)
    assert torch.equal(
        joined(iter(lucky)), ZeroShotTTS(bundle).generate(TEXT, voice, seed=1).waveform
    )
    assert engine.stats().steps == 0


def test_voices_are_made_in_between(start: Callable[..., Engine], voice: VoicePrompt) -> None:
    engine = start()
    utterance = engine.submit(LONG, voice, seed=1)
    next(iter(utterance))
    made = engine.call(lambda tts: tts.create_voice(speech_like(), name="new")).result(30)
    assert made.name == "new" and not utterance.is_over
    with pytest.raises(ZeroDivisionError):
        engine.call(lambda tts: 1 // 0).result(30)
    utterance.cancel()


def test_shutting_down_finishes_what_is_there(
    start: Callable[..., Engine], voice: VoicePrompt
) -> None:
    engine = start(num_slots=1)
    asked = [engine.submit(TEXT, voice, seed=seed) for seed in range(2)]
    engine.close(finish_seconds=30.0)
    assert all(list(utterance)[-1].is_final for utterance in asked)
    with pytest.raises(EngineClosed):
        engine.submit(TEXT, voice)
    with pytest.raises(EngineClosed):
        engine.call(lambda tts: None)
    assert not engine.is_open


def test_shutting_down_at_once_ends_everything(
    start: Callable[..., Engine], voice: VoicePrompt
) -> None:
    engine = start(num_slots=1)
    asked: list[Utterance] = [engine.submit(LONG, voice, seed=seed) for seed in range(2)]
    next(iter(asked[0]))
    engine.close()
    for utterance in asked:
        with pytest.raises(EngineClosed):
            list(utterance)
    engine.close()  # once more does no harm
