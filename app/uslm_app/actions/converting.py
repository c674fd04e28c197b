"""Converts a recording to another voice, writes it and reports."""

from __future__ import annotations

from uslm.imitation import check_can_mix, mixed_voice
from uslm_app.actions import engine
from uslm_app.actions.recordings import marked, open_source, report
from uslm_app.actions.voices import open_manner, open_voice
from uslm_app.cli.console import Console
from uslm_app.cli.given import ConvertOptions
from uslm_app.cli.outputs import AudioTarget
from uslm_tokenizer.audio.write import output_format, write_audio


def convert(
    target: AudioTarget, sidecar: str | None, options: ConvertOptions, console: Console
) -> None:
    """Read source and voice, load the model, convert, report."""
    format = output_format(target, options.format)
    source = open_source(options.source, console)
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
    speech = marked(speech, watermark)
    write_audio(target, speech.waveform, speech.sample_rate, format=format, force=options.force)
    record = {"out": options.out, "source": options.source, **speech.to_dict()}
    total = speech.timings.total
    note = (
        f"{options.out}: {speech.seconds:.2f} s in {total:.2f} s in the voice of {voice.name!r}, "
        f"seed {speech.seed}"
    )
    report(record, sidecar, console, note, force=options.force, json=options.json)
