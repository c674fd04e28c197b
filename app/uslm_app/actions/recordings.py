"""A recording in, and what is odd about it said; sound out, and what was made of it said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from uslm.output.speech import Speech
from uslm.output.watermark import MarkedStream, Watermark
from uslm_app.cli.console import Console
from uslm_app.cli.outputs import write_json
from uslm_tokenizer.audio.read import Audio, read_audio


def open_source(path: str, console: Console) -> Audio:
    """The recording; what its reader warns of is said."""
    source = read_audio(path)
    for warning in source.source.warnings if source.source else ():
        console.warn(warning)
    return source


def marked(speech: Speech, watermark: Watermark | None) -> Speech:
    """The same with the mark, where one is wanted."""
    if watermark is None:
        return speech
    waveform = MarkedStream(watermark, speech.sample_rate).push(speech.waveform, is_final=True)
    settings = {**speech.settings, "watermark": watermark.name}
    return replace(speech, waveform=waveform, settings=settings)


def report(
    record: dict[str, Any],
    sidecar: str | None,
    console: Console,
    note: str,
    *,
    force: bool,
    json: bool,
) -> None:
    """Write the record beside the sound, if asked for, and say it, or a line of it."""
    if sidecar is not None:
        write_json(sidecar, record, force=force)
    if json:
        console.json(record)
    else:
        console.note(note)
