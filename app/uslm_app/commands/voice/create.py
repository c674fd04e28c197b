"""`uslm voice create`: a recording in, a voice out; kept by name, or in a file."""

from __future__ import annotations

from pathlib import Path

from uslm_app.cli.console import Console
from uslm_app.cli.exit_codes import UsageError
from uslm_app.cli.given import VoiceCreateOptions
from uslm_app.cli.inputs import check_prompt
from uslm_app.cli.outputs import check_output, check_suffix


def run(options: VoiceCreateOptions, console: Console) -> None:
    """Check the files; then load the model and make the voice."""
    check_prompt(options.prompt)
    if options.prompt == "-" and options.name is None and options.out is None:
        raise UsageError("a voice from standard input needs a name: --name NAME")
    if options.out is not None:
        check_suffix(options.out, ".safetensors", "the voice file")
        check_output(options.out, force=options.force, inputs=(options.prompt,))

    from uslm.voices.store import VoiceStore
    from uslm_app.actions import engine
    from uslm_app.actions.voices import describe, make_voice, open_voice

    store = VoiceStore()
    name = options.name
    if options.out is None:
        name = name or Path(options.prompt).stem
        store.check_free(name, options.force)
    source = open_voice(prompt=options.prompt, text=options.prompt_text, name=name)
    engine.check_model(options.model)
    if options.enhance is not None:
        engine.check_model(options.enhance)
    voice = make_voice(source, options, console)
    if options.out is None:
        where = str(store.save(voice, force=options.force))
    else:
        where = str(voice.save(options.out, force=options.force))
    if options.json:
        console.json({"out": where, **describe(voice)})
        return
    console.note(f"{where}: the voice {voice.name!r}, {voice.seconds:.1f} s")
