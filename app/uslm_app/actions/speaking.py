"""Speaks a text into a file or a pipe while it is made, in constant memory, and reports."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from uslm.imitation import check_can_mix, mixed_voice
from uslm.output.speech import SegmentReport, rounded
from uslm.output.subtitles import to_srt, to_vtt
from uslm.output.watermark import Watermark, watermarked
from uslm.synthesis.seeds import resolve_seed
from uslm.text.lexicon import Lexicon
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm_app.actions import engine
from uslm_app.actions.dry_run import show_plan
from uslm_app.actions.spoken_report import tell_spoken
from uslm_app.actions.voices import make_voices, open_manner, open_roles, open_voice
from uslm_app.cli.console import Console
from uslm_app.cli.given import SayOptions
from uslm_app.cli.outputs import AudioTarget, write_file, write_json
from uslm_app.cli.progress import TextProgress
from uslm_tokenizer.audio.write import StreamWriter, output_format

MAX_REMARKS = 5
"""A long text with a poor voice would fill the screen."""


def say(
    text: str,
    role_files: Mapping[str, str] | None,
    target: AudioTarget,
    sidecar: str | None,
    options: SayOptions,
    console: Console,
) -> None:
    """Check what needs PyTorch, load the model, speak, report. `role_files` are the voices of a
    script; None: names in brackets mean nothing."""
    options = replace(options, format=output_format(target, options.format))
    lexicon = None if options.lexicon is None else Lexicon.load(options.lexicon)
    source = open_voice(prompt=options.prompt, voice=options.voice, text=options.prompt_text)
    manner = open_manner(options)
    narrator = options.voice or options.prompt
    roles = None if role_files is None else open_roles(role_files, source, narrator)
    watermark = engine.load_watermark(options.watermark)
    engine.check_model(options.model)
    if options.dry_run:
        show_plan(text, source, manner, roles, lexicon, options, console)
        return
    start = time.perf_counter()
    tts = engine.load_tts(options, language=options.language, lexicon=lexicon)
    load_seconds = time.perf_counter() - start
    if manner is not None:
        check_can_mix(tts.synthesizer)
    voice, voices = make_voices(source, roles, tts, console)
    if manner is not None:
        voice = mixed_voice(tts.synthesizer, manner.voice(tts, console), voice)
    record = {
        "out": options.out,
        **_speak(tts, voice, voices, text, target, options, console, watermark),
        "load_seconds": round(load_seconds, 3),
    }
    if sidecar is not None:
        write_json(sidecar, record, force=options.force)
    tell_spoken(record, options, console)


def _speak(
    tts: ZeroShotTTS,
    voice: VoicePrompt,
    voices: Mapping[str, VoicePrompt] | None,
    text: str,
    target: AudioTarget,
    options: SayOptions,
    console: Console,
    watermark: Watermark | None,
) -> dict[str, Any]:
    """Write the stream as it comes; returns what a sidecar holds."""
    settings = _settings(options)
    seed = resolve_seed(options.seed)
    start = time.perf_counter()
    first_audio: float | None = None
    reports: list[SegmentReport] = []
    words = bool(options.timestamps or options.srt or options.vtt)
    stream = tts.stream(text, voice, voices=voices, seed=seed, words=words, **settings)
    if watermark is not None:
        stream = watermarked(stream, watermark)
        settings["watermark"] = watermark.name
    with (
        TextProgress(len(text), console) as progress,
        StreamWriter(target, tts.sample_rate, format=options.format, force=options.force) as writer,
    ):
        for chunk in stream:
            if not writer.write(chunk.waveform):
                raise BrokenPipeError
            if first_audio is None and chunk.waveform.numel():
                first_audio = time.perf_counter() - start
            if chunk.report is not None:
                reports.append(chunk.report)
                progress.advance(len(chunk.report.text))
    total = time.perf_counter() - start
    _warn_of_segments(reports, console)
    _write_subtitles(reports, options)
    return {
        "model": tts.synthesizer.settings.name,
        "model_hash": tts.synthesizer.hash,
        "voice": voice.name,
        "text": text,
        "seed": seed,
        "settings": settings,
        "sample_rate": tts.sample_rate,
        "seconds": round(writer.seconds, 4),
        "timings": {"total": round(total, 4), "first_audio": round(first_audio or total, 4)},
        "segments": [rounded(dataclasses.asdict(report)) for report in reports],
    }


def _write_subtitles(reports: list[SegmentReport], options: SayOptions) -> None:
    for path, written in ((options.srt, to_srt), (options.vtt, to_vtt)):
        if path is not None:
            write_file(path, written(reports).encode(), force=options.force)


def _settings(options: SayOptions) -> dict[str, Any]:
    """The arguments that were given; what was not is the model's own choice."""
    names = ("temperature", "top_k", "top_p", "retries", "speed")
    given = {name: getattr(options, name) for name in names}
    settings = {name: value for name, value in given.items() if value is not None}
    # Whoever asks for retries wants to know whether they are needed.
    settings["verify"] = options.verify or options.retries is not None
    if options.any_language:
        settings["any_language"] = True
    return settings


def _warn_of_segments(reports: list[SegmentReport], console: Console) -> None:
    remarks = [remark for report in reports if (remark := remark_on(report))]
    for remark in remarks[:MAX_REMARKS]:
        console.warn(remark)
    if len(remarks) > MAX_REMARKS:
        more = len(remarks) - MAX_REMARKS
        console.warn(f"{more} more segments have remarks; --json and --sidecar list all segments")


def remark_on(report: SegmentReport) -> str:
    """Remark on what is odd about a segment, or nothing."""
    where = f"segment {report.index + 1} ({report.text[:40]!r})"
    if report.stop_reason == "silent":
        return f"{where} was left out: it has nothing that can be spoken"
    drawn = f"was drawn {report.attempts} times"
    if report.attempts > 1 and report.phoneme_error_rate is not None:
        wrong = f"{report.phoneme_error_rate:.0%} of its sounds are heard wrongly"
        return f"{where} {drawn}; in the best {wrong}"
    if report.stop_reason != "end":
        after = f"; it {drawn}" if report.attempts > 1 else ""
        return f"{where} had to be stopped ({report.stop_reason}){after}; listen to it"
    if report.attempts > 1:  # by a model that notices by itself when it goes wrong
        return f"{where} {drawn}, as it repeated itself or did not end; listen to it"
    if report.words == ():
        return f"{where}: its words could not be placed; as a subtitle it stands whole"
    return ""
