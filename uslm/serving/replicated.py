"""One engine of many replicas, by Ray Serve: requests go to whichever has room.

A replica may be lost with its machine. What it was saying is said again by another, and what has
been handed on already is left out of it: with one seed a text is spoken the same to the bit.
"""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from uslm.output.speech import AudioChunk
from uslm.serving.engine import EngineConfig
from uslm.serving.protocol import EngineStats, Result
from uslm.serving.replica import EngineReplica, Facts, Problem
from uslm.serving.utterance import Cancelled, EngineClosed, QueueFull, TimedOut, Utterance
from uslm.synthesis.live_text import LiveText
from uslm.synthesis.protocols import SynthesizerSettings
from uslm.synthesis.seeds import resolve_seed
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.errors import ConfigError, EnvironmentProblem

APPLICATION = "uslm"
"""Name of the deployment in the cluster, unless another is given."""
MAX_MOVES = 3
"""Replicas that may be lost under one request."""
RETRY_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class ReplicaConfig:
    """Replicas, and what each of them takes of its machine."""

    num_replicas: int = 2
    """Processes, each with the model loaded."""
    num_cpus: float = 1.0
    """Processors that Ray sets aside for each."""
    num_gpus: float = 0.0
    """GPUs of the same; a fraction shares one."""
    address: str | None = None
    """Address of a Ray cluster; None starts one on this machine, `auto` finds that which runs."""
    name: str = APPLICATION
    """Name of the deployment in the cluster."""

    def __post_init__(self) -> None:
        if self.num_replicas < 1 or self.num_cpus < 0 or self.num_gpus < 0:
            raise ConfigError(
                f"num_replicas must be 1 or more, num_cpus and num_gpus 0 or more: {self}"
            )


def start_replicas(
    load: Callable[[], ZeroShotTTS],
    replicas: ReplicaConfig | None = None,
    config: EngineConfig | None = None,
) -> "ReplicatedEngine":
    """Deploy the replicas, and wait until all are there; `load` makes the model in each of them.

    Closing the engine ends them. Raises EnvironmentProblem where Ray is missing, or fails.
    """
    replicas, config = replicas or ReplicaConfig(), config or EngineConfig()
    try:
        import ray
        from ray import serve
    except ImportError as problem:
        raise EnvironmentProblem(
            f"replicas need Ray Serve ({problem}): pip install 'uslm[cluster]'"
        ) from problem
    try:
        if not ray.is_initialized():
            # Of workers that a cluster on this machine starts; Ray's own default, 15, is for work
            # that nobody waits for.
            os.environ.setdefault("RAY_worker_niceness", "0")
            ray.init(replicas.address, include_dashboard=False, log_to_driver=False)
        serve.start(proxy_location="Disabled")
        deployment = serve.deployment(
            name="engine",
            num_replicas=replicas.num_replicas,
            max_ongoing_requests=config.num_slots + config.max_waiting,
            ray_actor_options={"num_cpus": replicas.num_cpus, "num_gpus": replicas.num_gpus},
        )(EngineReplica)
        handle = serve.run(deployment.bind(load, config), name=replicas.name, route_prefix=None)
    except (RuntimeError, ConnectionError, ValueError) as problem:
        raise EnvironmentProblem(f"Ray does not start the replicas: {problem}") from problem
    return ReplicatedEngine(handle, config, replicas)


class ReplicatedEngine:
    """An engine whose work is done elsewhere; `start_replicas` makes it."""

    def __init__(self, handle: Any, config: EngineConfig, replicas: ReplicaConfig) -> None:
        self.config, self.replicas = config, replicas
        self._handle = handle
        self._stats, self._changed = EngineStats(), threading.Condition()
        self._closing = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="uslm-replicas", daemon=True
        )
        self._thread.start()
        self._facts: Facts = self._soon(self._once("facts")).result()

    @property
    def sample_rate(self) -> int:
        """Samples per second of what is spoken, Hz."""
        return self._facts.sample_rate

    @property
    def settings(self) -> SynthesizerSettings:
        """Name and languages of the model."""
        return self._facts.settings

    @property
    def reads_live_text(self) -> bool:
        """Text that is being written is collected here, and spoken when it is whole."""
        return False

    @property
    def is_open(self) -> bool:
        """Whether requests are taken."""
        return not self._closing

    @property
    def has_failed(self) -> bool:
        """Lost replicas are replaced by Ray Serve; nothing here fails for good."""
        return False

    def submit(self, text: str | LiveText, voice: VoicePrompt, **options: Any) -> Utterance:
        """Send a text to a replica; as `Engine.submit`."""
        options = {**options, "seed": resolve_seed(options.get("seed"))}  # the same in each try
        deadline = time.monotonic() + self.config.max_seconds
        tasks: list[Future[None]] = []

        def let_go() -> None:
            if utterance.is_cancelled and tasks:
                tasks[0].cancel()

        utterance = Utterance(
            lambda: iter(()), sample_rate=self.sample_rate, deadline=deadline, on_taken=let_go
        )
        with self._changed:
            self._check_room()
            self._stats.active += 1
        tasks.append(self._soon(self._feed(utterance, text, voice, options)))
        let_go()  # it may have been cancelled already
        return utterance

    def call(self, function: Callable[[ZeroShotTTS], Result]) -> "Future[Result]":
        """Have a replica do something else with its model."""
        if self._closing:
            raise EngineClosed("the engine is shutting down; it takes no more requests")
        return self._soon(self._once("call", function))

    def stats(self) -> EngineStats:
        """Counts until now, of what was asked for here."""
        with self._changed:
            return replace(self._stats)

    def refuse(self) -> None:
        """Take no more requests; those that are there go on."""
        self._closing = True

    def close(self, *, finish_seconds: float = 0.0) -> None:
        """Refuse what is new; finish what is there, for so long; then end the replicas."""
        self.refuse()
        with self._changed:
            self._changed.wait_for(lambda: not self._stats.active, finish_seconds)
        self._soon(self._end_all()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        from ray import serve

        serve.delete(self.replicas.name)

    def __enter__(self) -> "ReplicatedEngine":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # All below runs in the loop of the thread.

    async def _feed(
        self, utterance: Utterance, text: str | LiveText, voice: VoicePrompt, options: Any
    ) -> None:
        outcome, error = "done", None
        try:
            left = utterance.deadline - time.monotonic()
            await asyncio.wait_for(self._speak(utterance, text, voice, options), left)
        except asyncio.CancelledError:
            outcome, error = "cancelled", utterance.reason
            if self._closing and not utterance.is_cancelled:
                error = EngineClosed("the engine was shut down")
        except (asyncio.TimeoutError, TimedOut):
            outcome = "timed_out"
            error = TimedOut(f"it took more than {self.config.max_seconds:g} s")
        except Cancelled as reason:
            outcome, error = "cancelled", reason
        except Exception as problem:
            outcome, error = "failed", problem
        with self._changed:
            setattr(self._stats, outcome, getattr(self._stats, outcome) + 1)
            self._stats.active -= 1
            self._changed.notify_all()
        utterance.end(error)

    async def _speak(
        self,
        utterance: Utterance,
        text: str | LiveText,
        voice: VoicePrompt,
        options: Mapping[str, Any],
    ) -> None:
        whole = text if isinstance(text, str) else await _collected(text)
        handed, num_lost = _Handed(), 0
        while not await self._spoken(utterance, handed, whole, voice, options):
            handed.begin_again()
            num_lost += 1
            _check_losses(num_lost)
            with self._changed:
                self._stats.moved += 1

    async def _spoken(
        self,
        utterance: Utterance,
        handed: "_Handed",
        text: str,
        voice: VoicePrompt,
        options: Mapping[str, Any],
    ) -> bool:
        """Hand on what a replica makes; False where that is lost in between."""
        try:
            async for chunk in self._chunks(text, voice, options):
                if (new := handed.rest(chunk)) is not None:
                    utterance.add(new)
                    with self._changed:
                        self._stats.audio_seconds += new.waveform.shape[-1] / self.sample_rate
                    await self._taken(utterance)
        except _lost():
            return False
        return True

    async def _chunks(
        self, text: str, voice: VoicePrompt, options: Mapping[str, Any]
    ) -> AsyncIterator[AudioChunk]:
        answer = self._handle.options(stream=True).speak.remote(text, voice, dict(options))
        try:
            async for chunk in answer:
                if isinstance(chunk, Problem):
                    raise chunk.error()
                yield chunk
        except BaseException:
            answer.cancel()
            raise

    async def _taken(self, utterance: Utterance) -> None:
        """Wait for a caller who takes it slowly, as an engine here would."""
        while utterance.ahead_seconds > self.config.ahead_seconds:
            if utterance.idle_seconds > self.config.stall_seconds:
                seconds = self.config.stall_seconds
                raise Cancelled(f"nobody took what was made for {seconds:g} s")
            await asyncio.sleep(0.05)

    async def _once(self, method: str, *arguments: Any) -> Any:
        """One answer; another replica is asked where one is lost."""
        num_lost = 0
        while not (answers := await self._answers(method, *arguments)):
            num_lost += 1
            _check_losses(num_lost)
        if isinstance(answers[0], Problem):
            raise answers[0].error()
        return answers[0]

    async def _answers(self, method: str, *arguments: Any) -> list[Any]:
        """The answer of a replica; none where that is lost."""
        try:
            return [await getattr(self._handle, method).remote(*arguments)]
        except _lost():
            return []

    async def _end_all(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _soon(self, work: Coroutine[Any, Any, Any]) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _check_room(self) -> None:
        if self._closing:
            raise EngineClosed("the engine is shutting down; it takes no more requests")
        slots = self.replicas.num_replicas * self.config.num_slots
        room = slots + self.replicas.num_replicas * self.config.max_waiting
        if self._stats.active >= room:
            self._stats.refused += 1
            raise QueueFull(self._stats.active - slots, retry_seconds=RETRY_SECONDS)


class _Handed:
    """Samples and reports of an utterance that were handed on, and are left out of the next try."""

    def __init__(self) -> None:
        self._samples = self._segments = 0  # that were handed on, in all
        self._seen = 0  # samples that have come in this try

    def begin_again(self) -> None:
        """Another replica says it from the beginning."""
        self._seen = 0

    def rest(self, chunk: AudioChunk) -> AudioChunk | None:
        """The part that is new; None where there is none."""
        known = max(0, min(self._samples - self._seen, chunk.waveform.shape[-1]))
        self._seen += chunk.waveform.shape[-1]
        self._samples = max(self._samples, self._seen)
        chunk = replace(chunk, waveform=chunk.waveform[..., known:])
        if (report := chunk.report) is not None:
            if report.index < self._segments:
                chunk = replace(chunk, report=None, codes=None, latents=None, written="")
            self._segments = max(self._segments, report.index + 1)
        is_new = chunk.waveform.numel() or chunk.report is not None or chunk.is_final
        return chunk if is_new else None


async def _collected(text: LiveText) -> str:
    """The text, once it is whole."""
    changed, loop = asyncio.Event(), asyncio.get_running_loop()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(changed.set)

    text.on_change(wake)
    fragments = []
    for fragment in text:
        fragments.append(fragment)
        if not fragment:
            await changed.wait()
            changed.clear()
    return "".join(fragments)


def _check_losses(count: int) -> None:
    if count > MAX_MOVES:
        raise RuntimeError(f"{count} replicas were lost, one after the other")


def _lost() -> tuple[type[BaseException], ...]:
    """Errors by which Ray says that a replica, or its machine, is gone."""
    from ray.exceptions import ObjectLostError, RayActorError, WorkerCrashedError

    return RayActorError, WorkerCrashedError, ObjectLostError
