"""Measurements of a model's speed and of where the time goes; `uslm bench` prints them.

Every number is the median of some runs, after one run that is not counted. The memory of the
whole process is read right after the speaking, before the experiments on single stages.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from uslm.models.base import SemanticModel
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm_app.bench.machine import read_bandwidth
from uslm_tokenizer.machine import Machine

READ_REPEATS = 20
"""Readings of what a step reads, of which the fastest counts; one takes about a millisecond."""


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """Cost of one stage of a whole utterance."""

    name: str
    """The stage; `in all` is everything from the call to the last sample."""
    seconds: float
    """Time it took."""
    real_time_factor: float
    """The same for each second of speech."""


@dataclass(frozen=True, kw_only=True)
class SpeechCost:
    """Cost of speaking one sentence."""

    speech_seconds: float
    """Length of what was spoken."""
    num_units: int
    """Units that stage 1 drew."""
    stages: tuple[StageCost, ...]
    """Front end, stage 1, stage 2, decoding; last, all of it."""
    first_audio_seconds: float
    """From the call to the first samples of a stream."""


@dataclass(frozen=True, kw_only=True)
class BatchCost:
    """Cost of speaking several texts side by side."""

    rows: int
    """Texts at once."""
    real_time_factor: float
    """Seconds for each second of their speech, all together."""


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """Cost of one step of stage 1, and the least that it could be."""

    rows: int
    """Rows that step side by side."""
    cached_seconds: float
    """A step with the cache."""
    uncached_seconds: float | None
    """The same logits by reading everything again; None where it was not measured."""
    context: int
    """Tokens before the step."""
    bytes_read: int
    """Weights and cache that a step has to read."""
    read_seconds: float
    """Time to read so many bytes at the memory's bandwidth."""
    hot_read_seconds: float
    """Time to read so many bytes again and again: small models lie in a processor's cache."""

    @property
    def tokens_per_second(self) -> float:
        """Units drawn per second, all rows together."""
        return self.rows / self.cached_seconds

    @property
    def times_read(self) -> float:
        """The step against the reading alone, from memory."""
        return self.cached_seconds / self.read_seconds

    @property
    def times_hot_read(self) -> float:
        """The same against reading from where the bytes lie after many steps."""
        return self.cached_seconds / self.hot_read_seconds


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """All that was measured, and on what."""

    model: str
    machine: Machine
    settings: dict[str, Any]
    """Text, seed, repeats and precision."""
    load_seconds: float
    """Loading the model, once PyTorch is there."""
    speech: SpeechCost
    batch: BatchCost
    peak_memory_bytes: int | None
    """Of the whole process while it spoke; None where nobody counts it."""
    bandwidth: float
    """Bytes per second that this machine reads from memory."""
    steps: tuple[StepCost, ...]
    """Of stage 1: one row, and many."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, with what follows from others spelled out."""
        record = dataclasses.asdict(self)
        for step, values in zip(self.steps, record["steps"], strict=True):
            values["tokens_per_second"] = step.tokens_per_second
            values["times_read"] = step.times_read
            values["times_hot_read"] = step.times_hot_read
        return record


def median_seconds(work: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Median time of a call, after one that does not count."""
    work()
    times = []
    for _ in range(repeats):
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


STAGES = {
    "front end": "frontend",
    "stage 1": "semantic",
    "stage 2": "acoustic",
    "decoder": "decode",
    "in all": "total",
}


def measure_speech(
    tts: ZeroShotTTS, voice: VoicePrompt, text: str, *, seed: int, repeats: int
) -> SpeechCost:
    """The cost of speaking one text, at once and as a stream."""
    tts.generate(text, voice, seed=seed)
    runs = [tts.generate(text, voice, seed=seed) for _ in range(repeats)]
    seconds = runs[0].seconds
    stages = []
    for name, key in STAGES.items():
        median = statistics.median(getattr(run.timings, key) for run in runs)
        stages.append(StageCost(name=name, seconds=median, real_time_factor=median / seconds))
    return SpeechCost(
        speech_seconds=seconds,
        num_units=len(runs[0].units),
        stages=tuple(stages),
        first_audio_seconds=statistics.median(
            _first_audio(tts, voice, text, seed) for _ in range(repeats)
        ),
    )


def measure_batch(
    tts: ZeroShotTTS, voice: VoicePrompt, text: str, *, seed: int, rows: int
) -> BatchCost:
    """The cost of speaking one text several times over, each time otherwise."""
    seeds = list(range(seed, seed + rows))
    start = time.perf_counter()
    speeches = tts.generate_batch([text] * rows, voice, seeds, batch_size=rows)
    seconds = time.perf_counter() - start
    return BatchCost(
        rows=rows, real_time_factor=seconds / sum(speech.seconds for speech in speeches)
    )


def _first_audio(tts: ZeroShotTTS, voice: VoicePrompt, text: str, seed: int) -> float:
    start = time.perf_counter()
    for chunk in tts.stream(text, voice, seed=seed):
        if chunk.waveform.numel():
            break
    return time.perf_counter() - start


def measure_steps(
    model: SemanticModel, *, rows: int, context: int, bandwidth: float, repeats: int, seed: int
) -> StepCost:
    """The cost of one step of stage 1 after `context` tokens of random text and units.

    `bandwidth` is that of the memory, in bytes per second.
    """
    generator = torch.Generator().manual_seed(seed)
    num_text = context // 4
    text = [torch.randint(1, 40, (num_text,), generator=generator) for _ in range(rows)]
    units = [
        torch.randint(0, model.codebook_size, (context - num_text,), generator=generator)
        for _ in range(rows)
    ]
    steps = 16
    cache = model.new_cache(rows, context + 4 + steps * (repeats + 1))
    with torch.inference_mode():
        model.prefill(text, units, cache)
    chosen = torch.zeros(rows, dtype=torch.long, device=model.device)

    @torch.inference_mode()  # as whoever speaks does
    def step_on() -> None:
        for _ in range(steps):
            model.step(chosen, cache)

    cached = median_seconds(step_on, repeats, model.device) / steps
    middle = cache.length - steps * (repeats + 1) // 2
    bytes_read = step_bytes(model, rows=rows, context=middle)
    hot_bandwidth = read_bandwidth(model.device, bytes_read, READ_REPEATS)
    return StepCost(
        rows=rows,
        cached_seconds=cached,
        uncached_seconds=_uncached_seconds(model, text, units, repeats) if rows == 1 else None,
        context=middle,
        bytes_read=bytes_read,
        read_seconds=bytes_read / bandwidth,
        hot_read_seconds=bytes_read / hot_bandwidth,
    )


def step_bytes(model: SemanticModel, *, rows: int, context: int) -> int:
    """Bytes a cached step reads: the weights that it uses, and the cache so far.

    Neither tables, of which it looks up a row, nor layers that only read the text.
    """
    cache, used = model.new_cache(1, 8), _UsedStorages()
    symbol, nothing = torch.ones(1, dtype=torch.long), torch.zeros(0, dtype=torch.long)
    with torch.inference_mode():
        model.prefill([symbol], [nothing], cache)
        with used:
            model.step(torch.zeros(1, dtype=torch.long, device=model.device), cache)
    tables = {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}
    weights = sum(
        tensor.numel() * tensor.element_size()
        for tensor in (*model.parameters(), *model.buffers())
        if id(tensor) not in tables and tensor.untyped_storage().data_ptr() in used.storages
    )
    token = cache.stored[..., :1, :]  # its place is the last but one
    return weights + rows * context * token.numel() * token.element_size()


class _UsedStorages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the memory of every tensor that goes into a kernel."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.storages: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        tensors = [value for value in args if isinstance(value, torch.Tensor)]
        self.storages.update(tensor.untyped_storage().data_ptr() for tensor in tensors)
        return func(*args, **(kwargs or {}))


def _uncached_seconds(
    model: SemanticModel,
    text: Sequence[torch.Tensor],
    units: Sequence[torch.Tensor],
    repeats: int,
) -> float:
    """One step as it would be without a cache: a whole pass for a single new unit."""

    @torch.inference_mode()
    def read_all() -> None:
        model.prefill(text, units, model.new_cache(len(text), len(text[0]) + len(units[0]) + 2))

    return median_seconds(read_all, repeats, model.device)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
