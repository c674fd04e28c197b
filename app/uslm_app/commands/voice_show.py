"""`uslm voice show`: what is in a voice file."""

from __future__ import annotations

import argparse

from uslm_app.console import Console
from uslm_app.inputs import check_file


def run(options: argparse.Namespace, console: Console) -> None:
    """Print each fact in a line."""
    check_file(options.voice, "the voice file")

    from uslm.pipeline.prompt import VoicePrompt
    from uslm_app.voices import describe

    record = describe(VoicePrompt.load(options.voice))
    if options.json:
        console.json(record)
        return
    for name, value in record.items():
        lines = value if isinstance(value, list) else [value]
        for line in lines:
            console.result(f"{name:<15} {'unknown' if line is None else line}")
