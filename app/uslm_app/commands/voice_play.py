"""`uslm voice play`: hear what a voice was made of."""

from __future__ import annotations

import argparse

from uslm_app.console import Console
from uslm_app.inputs import find_voice


def run(options: argparse.Namespace, console: Console) -> None:
    """Find a player before any work; then decode the voice and play it."""
    path = find_voice(options.voice)

    from uslm_app.playing import find_player

    player = find_player()

    from uslm.pipeline.creation import render_voice
    from uslm_app import engine
    from uslm_app.voices import load_voice

    voice = load_voice(path)
    engine.check_model(options.model)
    bundle = engine.load_tts(options).bundle
    waveform, rate = render_voice(bundle, voice), bundle.tokenizer.sample_rate
    player(waveform, rate)
    if options.json:
        console.json({"voice": voice.name, "seconds": round(waveform.shape[1] / rate, 4)})
