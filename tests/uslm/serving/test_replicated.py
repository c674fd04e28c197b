"""An engine of replicas: what is spoken is what one engine speaks, whatever is lost on the way."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch

from uslm.output.speech import AudioChunk
from uslm.serving.engine import EngineConfig
from uslm.serving.replica import EngineReplica, Problem
from uslm.serving.replicated import MAX_MOVES, ReplicaConfig, ReplicatedEngine, start_replicas
from uslm.serving.utterance import Cancelled, EngineClosed, QueueFull, TimedOut, Utterance
from uslm.synthesis.live_text import LiveText
from uslm.systems.two_stage.tiny import tiny_bundle, tiny_voice
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.errors import ConfigError, TextError

# Ray Serve defines its settings in ways that pydantic deprecates, and more of the kind.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
TEXT = "This is the first sentence of all of them. Here comes the second one, no shorter. Bye now."
CONFIG = EngineConfig(num_slots=2, max_waiting=1, max_seconds=60.0)


def load() -> ZeroShotTTS:
    """The model of all replicas."""
    return ZeroShotTTS(tiny_bundle())


@pytest.fixture(scope="module")
def alone() -> ZeroShotTTS:
    return load()


@pytest.fixture(scope="module")
def voice() -> VoicePrompt:
    return tiny_voice(tiny_bundle())


class Method:
    """`handle.method.remote(...)`."""

    def __init__(self, remote: Callable[..., Any]) -> None:
        self.remote = remote


class Answer:
    """A stream of a replica that may be lost after so many chunks."""

    def __init__(self, chunks: AsyncIterator[AudioChunk | Problem], until: int | None) -> None:
        self._chunks, self._until = chunks, until
        self.is_cancelled = False

    async def __aiter__(self) -> AsyncIterator[AudioChunk | Problem]:
        count = 0
        async for chunk in self._chunks:
            if count == self._until:
                raise lost()
            count += 1
            yield chunk
        if self._until is not None:
            raise lost()

    def cancel(self) -> None:
        self.is_cancelled = True


def lost() -> Exception:
    from ray.exceptions import ActorDiedError

    return ActorDiedError()


class Handle:
    """Ray Serve's handle of one replica here; `losses` says after how many chunks of each try it is
    lost, None that it is not."""

    def __init__(self) -> None:
        self.replica = EngineReplica(load, CONFIG)
        self.losses: list[int | None] = []
        self.answers: list[Answer] = []
        self.facts = Method(self.replica.facts)
        self.call = Method(self.replica.call)
        self.speak = Method(self._speak)

    def options(self, *, stream: bool) -> Handle:
        assert stream
        return self

    def _speak(self, *arguments: Any) -> Answer:
        until = self.losses.pop(0) if self.losses else None
        self.answers.append(Answer(self.replica.speak(*arguments), until))
        return self.answers[-1]


@pytest.fixture
def handle() -> Iterator[Handle]:
    made = Handle()
    yield made
    made.replica._engine.close()


@pytest.fixture
def engine(handle: Handle, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReplicatedEngine]:
    serve = pytest.importorskip("ray.serve")
    monkeypatch.setattr(serve, "delete", lambda name: None)
    with ReplicatedEngine(handle, CONFIG, ReplicaConfig(num_replicas=1)) as made:
        yield made


def whole(utterance: Utterance) -> torch.Tensor:
    return torch.cat([chunk.waveform for chunk in utterance], dim=1)


def test_it_speaks_as_the_model_does(
    engine: ReplicatedEngine, alone: ZeroShotTTS, voice: VoicePrompt
) -> None:
    assert engine.settings == alone.synthesizer.settings
    wanted = alone.generate(TEXT, voice, seed=3)
    chunks = list(engine.submit(TEXT, voice, seed=3))
    assert len(chunks) > 2
    assert torch.equal(torch.cat([chunk.waveform for chunk in chunks], dim=1), wanted.waveform)
    assert [chunk.report for chunk in chunks if chunk.report] == list(wanted.segments)
    assert engine.stats().done == 1 and engine.stats().moved == 0


@pytest.mark.parametrize("losses", [[0], [1], [3], [1, 2, 0]], ids=str)
def test_a_lost_replica_loses_nothing(
    engine: ReplicatedEngine,
    handle: Handle,
    alone: ZeroShotTTS,
    voice: VoicePrompt,
    losses: list[int | None],
) -> None:
    wanted = alone.generate(TEXT, voice, seed=3)
    handle.losses = list(losses)
    chunks = list(engine.submit(TEXT, voice, seed=3))
    assert torch.equal(torch.cat([chunk.waveform for chunk in chunks], dim=1), wanted.waveform)
    assert [chunk.report for chunk in chunks if chunk.report] == list(wanted.segments)
    assert engine.stats().moved == len(losses)


def test_a_text_without_a_seed_keeps_its_own(
    engine: ReplicatedEngine, handle: Handle, alone: ZeroShotTTS, voice: VoicePrompt
) -> None:
    handle.losses = [2]
    chunks = list(engine.submit(TEXT, voice))
    facts = chunks[-1].facts
    assert facts is not None
    found = torch.cat([chunk.waveform for chunk in chunks], dim=1)
    assert torch.equal(found, alone.generate(TEXT, voice, seed=facts.seed).waveform)


def test_a_cluster_that_loses_every_replica_says_so(
    engine: ReplicatedEngine, handle: Handle, voice: VoicePrompt
) -> None:
    handle.losses = [0] * (MAX_MOVES + 1)
    with pytest.raises(RuntimeError, match="4 replicas were lost"):
        whole(engine.submit(TEXT, voice))
    assert engine.stats().failed == 1


def test_mistakes_come_back_as_what_they_are(engine: ReplicatedEngine, voice: VoicePrompt) -> None:
    with pytest.raises(TextError, match="something to say"):
        whole(engine.submit("...", voice))
    with pytest.raises(TextError, match="something to say"):
        engine.call(partial(_fail, TextError("something to say"))).result(30)
    with pytest.raises(RuntimeError, match="ZeroDivisionError: by zero"):
        engine.call(partial(_fail, ZeroDivisionError("by zero"))).result(30)
    assert engine.call(lambda tts: tts.sample_rate).result(30) == engine.sample_rate


def _fail(error: Exception, tts: ZeroShotTTS) -> None:
    raise error


def test_a_text_that_is_being_written_is_spoken_when_it_is_whole(
    engine: ReplicatedEngine, alone: ZeroShotTTS, voice: VoicePrompt
) -> None:
    text = LiveText()
    assert not engine.reads_live_text
    utterance = engine.submit(text, voice, seed=3)
    for place in range(0, len(TEXT), 20):
        text.push(TEXT[place : place + 20])
        time.sleep(0.01)
    text.finish()
    assert torch.equal(whole(utterance), alone.generate(TEXT, voice, seed=3).waveform)


def test_what_nobody_wants_is_cancelled_there(
    engine: ReplicatedEngine, handle: Handle, voice: VoicePrompt
) -> None:
    utterance = engine.submit(TEXT * 20, voice, seed=3)
    next(iter(utterance))
    utterance.cancel()
    with pytest.raises(Cancelled):
        whole(utterance)
    wait_until(lambda: handle.answers[0].is_cancelled)
    wait_until(lambda: engine.stats().cancelled == 1 and not engine.stats().active)


def test_more_than_there_is_room_for_is_refused(
    engine: ReplicatedEngine, voice: VoicePrompt
) -> None:
    texts = [LiveText() for _ in range(3)]
    utterances = [engine.submit(text, voice) for text in texts]
    with pytest.raises(QueueFull, match="1 requests are waiting already"):
        engine.submit("Hello.", voice)
    for text in texts:
        text.push("Hello there, all of you.")
        text.finish()
    for utterance in utterances:
        whole(utterance)
    assert engine.stats().refused == 1


def test_what_takes_too_long_is_given_up(handle: Handle, voice: VoicePrompt) -> None:
    config = EngineConfig(num_slots=2, max_waiting=1, max_seconds=0.2)
    engine = ReplicatedEngine(handle, config, ReplicaConfig(num_replicas=1))
    with pytest.raises(TimedOut, match=r"more than 0\.2 s"):
        whole(engine.submit(LiveText(), voice))
    assert engine.stats().timed_out == 1


def test_a_closed_engine_ends_what_is_there(
    handle: Handle, voice: VoicePrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve = pytest.importorskip("ray.serve")
    monkeypatch.setattr(serve, "delete", lambda name: None)
    engine = ReplicatedEngine(handle, CONFIG, ReplicaConfig(num_replicas=1))
    utterance = engine.submit(LiveText(), voice)
    engine.close()
    assert not engine.is_open
    with pytest.raises(EngineClosed):
        whole(utterance)
    with pytest.raises(EngineClosed):
        engine.submit("Hello.", voice)
    with pytest.raises(EngineClosed):
        engine.call(lambda tts: 1)


def test_replicas_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="num_replicas must be 1 or more"):
        ReplicaConfig(num_replicas=0)


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.01)


def test_a_killed_process_loses_no_request(
    alone: ZeroShotTTS, voice: VoicePrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Ray itself: two replicas, one of them killed while both speak."""
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else they wait for all else on the machine
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        configure_logging=False,
    )  # fmt: skip
    texts = [f"This is text number {number}. {TEXT}" for number in range(4)]
    config = EngineConfig(num_slots=4, max_waiting=4)
    try:
        with start_replicas(load, ReplicaConfig(num_replicas=2, num_cpus=0.5), config) as engine:
            pids = {engine.call(lambda tts: os.getpid()).result(60) for _ in range(12)}
            utterances = [engine.submit(text, voice, seed=5) for text in texts]
            begun = [next(iter(utterance)) for utterance in utterances]
            os.kill(min(pids), signal.SIGKILL)
            late = engine.submit(TEXT, voice, seed=5)
            for text, first, utterance in zip(texts, begun, utterances, strict=True):
                found = torch.cat([first.waveform, whole(utterance)], dim=1)
                assert torch.equal(found, alone.generate(text, voice, seed=5).waveform)
            assert torch.equal(whole(late), alone.generate(TEXT, voice, seed=5).waveform)
            assert engine.stats().done == 5 and engine.stats().failed == 0
    finally:
        ray.shutdown()
