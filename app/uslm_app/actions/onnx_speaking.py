"""`uslm say --backend onnx`: speaks on ONNX Runtime, without PyTorch."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from uslm.onnx.synthesizer import OnnxSynthesizer
from uslm.onnx.voice import Voice
from uslm.output.segment_report import SegmentReport, rounded
from uslm.synthesis.derived_seeds import resolve_seed
from uslm.text.lexicon import Lexicon
from uslm_app.actions.spoken_report import tell_spoken
from uslm_app.cli.console import Console
from uslm_app.cli.given import SayOptions
from uslm_app.cli.outputs import AudioTarget, write_json
from uslm_app.cli.progress import TextProgress
from uslm_tokenizer.audio.sample_writer import SampleWriter, output_format


def say_onnx(
    text: str,
    target: AudioTarget,
    sidecar: str | None,
    options: SayOptions,
    console: Console,
) -> None:
    """Load the model, speak, report."""
    options = replace(options, format=output_format(target, options.format))
    lexicon = None if options.lexicon is None else Lexicon.load(options.lexicon)
    start = time.perf_counter()
    synthesizer = OnnxSynthesizer(
        options.model, language=options.language, lexicon=lexicon, threads=options.threads
    )
    synthesizer.graphs.open()
    voice = _voice(synthesizer, options, console)
    load_seconds = time.perf_counter() - start
    record = {
        "out": options.out,
        **_speak(synthesizer, voice, text, target, options, console),
        "load_seconds": round(load_seconds, 3),
    }
    if sidecar is not None:
        write_json(sidecar, record, force=options.force)
    tell_spoken(record, options, console)


def _voice(synthesizer: OnnxSynthesizer, options: SayOptions, console: Console) -> Voice:
    if options.voice is not None:
        return synthesizer.load_voice(options.voice)
    assert options.prompt is not None
    voice, findings = synthesizer.create_voice(
        options.prompt, options.prompt_text, name=Path(options.prompt).stem
    )
    for finding in findings:
        say = console.note if finding.severity == "info" else console.warn
        say(f"prompt: {finding.message}")
    return voice


def _speak(
    synthesizer: OnnxSynthesizer,
    voice: Voice,
    text: str,
    target: AudioTarget,
    options: SayOptions,
    console: Console,
) -> dict[str, Any]:
    """Write the stream as it comes; returns what a sidecar holds."""
    names = ("temperature", "top_k", "top_p")
    settings = {name: value for name in names if (value := getattr(options, name)) is not None}
    if options.any_language:
        settings["any_language"] = True
    seed = resolve_seed(options.seed)
    start = time.perf_counter()
    first_audio: float | None = None
    reports: list[SegmentReport] = []
    stream = synthesizer.stream(text, voice, seed=seed, **settings)
    with (
        TextProgress(len(text), console) as progress,
        SampleWriter(
            target, synthesizer.sample_rate, format=options.format, force=options.force
        ) as writer,
    ):
        for chunk in stream:
            if not writer.write_samples(chunk.samples):
                raise BrokenPipeError
            if first_audio is None and len(chunk.samples):
                first_audio = time.perf_counter() - start
            if chunk.report is not None:
                reports.append(chunk.report)
                progress.advance(len(chunk.report.text))
                _warn(chunk.report, console)
    total = time.perf_counter() - start
    return {
        "model": synthesizer.config.name,
        "model_hash": synthesizer.config.hash,
        "backend": "onnx",
        "precision": synthesizer.config.precision,
        "voice": voice.name,
        "text": text,
        "seed": seed,
        "settings": settings,
        "sample_rate": synthesizer.sample_rate,
        "seconds": round(writer.seconds, 4),
        "timings": {"total": round(total, 4), "first_audio": round(first_audio or total, 4)},
        "segments": [rounded(dataclasses.asdict(report)) for report in reports],
    }


def _warn(report: SegmentReport, console: Console) -> None:
    where = f"segment {report.index + 1} ({report.text[:40]!r})"
    if report.stop_reason == "silent":
        console.warn(f"{where} was left out: it has nothing that can be spoken")
    elif report.stop_reason != "end":
        console.warn(f"{where} had to be stopped ({report.stop_reason}); listen to it")
