"""`uslm voice play`: hear what a voice was made of."""

from __future__ import annotations

from uslm_app.cli.console import Console
from uslm_app.cli.given import VoicePlayOptions
from uslm_app.cli.inputs import find_voice


def run(options: VoicePlayOptions, console: Console) -> None:
    """Find a player before any work; then decode the voice and play it."""
    path = find_voice(options.voice)

    from uslm.output.playing import find_player

    player = find_player()

    from uslm_app.actions import engine
    from uslm_app.actions.voices import load_voice

    voice = load_voice(path)
    engine.check_model(options.model)
    tts = engine.load_tts(options)
    waveform, rate = tts.synthesizer.render_voice(voice), tts.sample_rate
    player(waveform, rate)
    if options.json:
        console.json({"voice": voice.name, "seconds": round(waveform.shape[1] / rate, 4)})
