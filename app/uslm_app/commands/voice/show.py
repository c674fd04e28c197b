"""`uslm voice show`: what is in a voice."""

from __future__ import annotations

from uslm_app.cli.console import Console
from uslm_app.cli.given import VoiceShowOptions
from uslm_app.cli.inputs import find_voice


def run(options: VoiceShowOptions, console: Console) -> None:
    """Print each fact in a line."""
    path = find_voice(options.voice)

    from uslm_app.actions.voices import describe, load_voice

    record = describe(load_voice(path))
    if options.json:
        console.json(record)
        return
    for name, value in record.items():
        lines = value if isinstance(value, list) else [value]
        for line in lines:
            console.result(f"{name:<15} {'unknown' if line is None else line}")
