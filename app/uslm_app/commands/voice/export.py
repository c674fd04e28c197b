"""`uslm voice export`: a kept voice as a file, and as sound."""

from __future__ import annotations

from uslm_app.cli.console import Console
from uslm_app.cli.given import VoiceExportOptions
from uslm_app.cli.inputs import find_voice
from uslm_app.cli.outputs import check_output


def run(options: VoiceExportOptions, console: Console) -> None:
    """Check the places; the model is loaded only for sound."""
    path = find_voice(options.voice)
    for out in options.out:
        check_output(out, force=options.force, inputs=(path,))
    files = [out for out in options.out if out.lower().endswith(".safetensors")]
    sounds = [out for out in options.out if out not in files]

    from uslm_app.actions import engine
    from uslm_app.actions.voices import load_voice
    from uslm_tokenizer.audio.write import output_format, write_audio

    for out in sounds:
        output_format(out, None)  # an unknown suffix is refused before any work
    voice = load_voice(path)
    if sounds:
        engine.check_model(options.model)
        tts = engine.load_tts(options)
        waveform = tts.synthesizer.render_voice(voice)
        for out in sounds:
            write_audio(out, waveform, tts.sample_rate, force=options.force)
    for out in files:
        voice.save(out, force=options.force)
    if options.json:
        console.json({"voice": voice.name, "out": list(options.out)})
        return
    console.note(f"{', '.join(options.out)}: the voice {voice.name!r}")
