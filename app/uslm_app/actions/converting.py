"""Converts a recording to another voice, writes it and reports."""

from __future__ import annotations

from dataclasses import replace

from uslm.imitation import check_can_mix, mixed_voice
from uslm.output.watermark import MarkedStream
from uslm_app.actions import engine
from uslm_app.actions.voices import open_manner, open_voice
from uslm_app.cli.console import Console
from uslm_app.cli.given import ConvertOptions
from uslm_app.cli.outputs import AudioTarget, write_json
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.audio.write import output_format, write_audio


def convert(
    target: AudioTarget, sidecar: str | None, options: ConvertOptions, console: Console
) -> None:
    """Read source and voice, load the model, convert, report."""
    format = output_format(target, options.format)
    source = read_audio(options.source)
    for warning in source.source.warnings if source.source else ():
        console.warn(warning)
    opened = open_voice(prompt=options.prompt, voice=options.voice, text=options.prompt_text)
    manner = open_manner(options)
    watermark = engine.load_watermark(options.watermark)
    engine.check_model(options.model)
    converter = engine.load_converter(options)
    if manner is not None:
        check_can_mix(converter.converter)
    voice = opened.voice(converter, console)
    if manner is not None:
        voice = mixed_voice(converter.converter, manner.voice(converter, console), voice)
    speech = converter.convert(source, voice, imitate=options.imitate, seed=options.seed)
    if watermark is not None:
        marked = MarkedStream(watermark, speech.sample_rate).push(speech.waveform, is_final=True)
        settings = {**speech.settings, "watermark": watermark.name}
        speech = replace(speech, waveform=marked, settings=settings)
    write_audio(target, speech.waveform, speech.sample_rate, format=format, force=options.force)
    record = {"out": options.out, "source": options.source, **speech.to_dict()}
    if sidecar is not None:
        write_json(sidecar, record, force=options.force)
    if options.json:
        console.json(record)
        return
    total = speech.timings.total
    console.note(
        f"{options.out}: {speech.seconds:.2f} s in {total:.2f} s in the voice of {voice.name!r}, "
        f"seed {speech.seed}"
    )
