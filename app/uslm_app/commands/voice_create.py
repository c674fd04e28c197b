"""`uslm voice create`: a recording in, a voice file out."""

from __future__ import annotations

import argparse

from uslm_app.console import Console
from uslm_app.inputs import check_file
from uslm_app.outputs import check_output, check_suffix


def run(options: argparse.Namespace, console: Console) -> None:
    """Check the files; then load the model and make the voice."""
    check_file(options.prompt, "the prompt")
    check_suffix(options.out, ".safetensors", "the voice file")
    check_output(options.out, force=options.force, inputs=(options.prompt,))

    from uslm_app import engine
    from uslm_app.voices import describe, open_voice

    source = open_voice(options)
    engine.check_model(options.model)
    voice = source.voice(engine.load_tts(options), console)
    voice.save(options.out, force=options.force)
    if options.json:
        console.json({"out": options.out, **describe(voice)})
        return
    console.note(f"{options.out}: the voice {voice.name!r}, {voice.seconds:.1f} s")
