"""One run of `uslm bench`: what is measured, in which order, and how it is shown."""

from __future__ import annotations

import time
from collections.abc import Iterator

from uslm.synthesis.seeds import resolve_seed
from uslm.systems.two_stage.bundle import bundle_of
from uslm_app.actions import engine
from uslm_app.actions.voices import open_voice
from uslm_app.bench.machine import peak_memory_bytes, read_bandwidth
from uslm_app.bench.measure import (
    BenchReport,
    StepCost,
    measure_batch,
    measure_speech,
    measure_steps,
)
from uslm_app.cli.console import Console
from uslm_app.cli.given import BenchOptions
from uslm_tokenizer.machine import Machine

SENTENCE = "The quick brown fox jumps over the lazy dog, and nobody in the village minds at all."
CONTEXT = 500
"""Tokens that stage 1 has after it in the experiments on single steps: ten seconds or so."""


def benchmark(options: BenchOptions, console: Console) -> BenchReport:
    """Load, speak, look at the memory; only then the experiments, which need memory themselves."""
    seed = resolve_seed(options.seed)
    text = options.text or SENTENCE
    source = None if options.prompt is None else open_voice(prompt=options.prompt)
    start = time.perf_counter()
    tts = engine.load_tts(options)
    load_seconds = time.perf_counter() - start
    voice = tts.stock_voice() if source is None else source.voice(tts, console)
    speech = measure_speech(tts, voice, text, seed=seed, repeats=options.repeats)
    peak = peak_memory_bytes()
    batch = measure_batch(tts, voice, text, seed=seed, rows=options.batch)
    model = bundle_of(tts.synthesizer).semantic
    bandwidth = read_bandwidth(model.device)
    return BenchReport(
        model=tts.synthesizer.settings.name,
        machine=Machine.here(model.device),
        settings={
            "text": text,
            "voice": voice.name,
            "seed": seed,
            "repeats": options.repeats,
            "dtype": str(model.dtype).removeprefix("torch."),
        },
        load_seconds=load_seconds,
        speech=speech,
        batch=batch,
        peak_memory_bytes=peak,
        bandwidth=bandwidth,
        steps=tuple(
            measure_steps(
                model,
                rows=rows,
                context=CONTEXT,
                bandwidth=bandwidth,
                repeats=options.repeats,
                seed=seed,
            )
            for rows in (1, options.batch)
        ),
    )


def show(report: BenchReport) -> Iterator[str]:
    """The report as lines for people."""
    machine, settings, speech = report.machine, report.settings, report.speech
    yield f"machine       {machine.cpu}, {machine.cores} cores, {machine.system}"
    yield f"device        {machine.device}, {machine.threads} threads"
    yield f"torch         {machine.torch}, Python {machine.python}"
    yield f"model         {report.model}, {settings['dtype']}"
    yield f"loaded in     {report.load_seconds:.2f} s"
    yield f"speech        {speech.speech_seconds:.2f} s, {speech.num_units} units"
    yield f"seed          {settings['seed']}"
    yield ""
    yield "              seconds   for each second of speech"
    for stage in speech.stages:
        yield f"{stage.name:<12}{stage.seconds:>9.3f}{stage.real_time_factor:>10.3f}"
    yield f"{f'{report.batch.rows} at once':<21}{report.batch.real_time_factor:>10.3f}"
    yield ""
    yield f"first audio   {1000 * speech.first_audio_seconds:.0f} ms"
    if report.peak_memory_bytes is not None:
        yield f"peak memory   {report.peak_memory_bytes / 1e6:.0f} MB"
    yield f"bandwidth     {report.bandwidth / 1e9:.1f} GB/s, reading memory"
    yield ""
    yield from _show_steps(report.steps)


def _show_steps(steps: tuple[StepCost, ...]) -> Iterator[str]:
    yield f"a step of stage 1, after {steps[0].context} tokens"
    columns = [f"{step.rows} row{'s' * (step.rows > 1)}" for step in steps]
    yield _row("", columns)
    yield _row("with the cache, ms", [f"{1e3 * step.cached_seconds:.2f}" for step in steps])
    yield _row(
        "without it, ms",
        [f"{1e3 * s.uncached_seconds:.2f}" if s.uncached_seconds else "" for s in steps],
    )
    yield _row("units per second", [f"{step.tokens_per_second:.0f}" for step in steps])
    yield _row("bytes read, MB", [f"{step.bytes_read / 1e6:.1f}" for step in steps])
    yield _row("times reading, memory", [f"{step.times_read:.2f}" for step in steps])
    yield _row("times reading, cache", [f"{step.times_hot_read:.2f}" for step in steps])


def _row(name: str, values: list[str]) -> str:
    return f"{name:<26}" + "".join(f"{value:>10}" for value in values)
