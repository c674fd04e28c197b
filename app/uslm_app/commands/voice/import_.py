"""`uslm voice import`: keep a voice file by name."""

from __future__ import annotations

from uslm_app.cli.console import Console
from uslm_app.cli.given import VoiceImportOptions
from uslm_app.cli.inputs import check_file


def run(options: VoiceImportOptions, console: Console) -> None:
    """Read the file, which need not be trusted, and write it anew into the store."""
    check_file(options.file, "the voice file")

    from dataclasses import replace

    from uslm.voices.names import is_voice_name
    from uslm.voices.prompt import VoicePrompt
    from uslm.voices.store import VoiceStore
    from uslm_app.actions.voices import describe
    from uslm_app.cli.exit_codes import UsageError

    voice = VoicePrompt.load(options.file)
    if options.name is None and not is_voice_name(voice.name):
        raise UsageError(
            f"the voice is called {voice.name[:80]!r}, which it cannot be kept under; give --name"
        )
    voice = replace(voice, name=options.name or voice.name)
    path = VoiceStore().save(voice, force=options.force)
    if options.json:
        console.json({"out": str(path), **describe(voice)})
        return
    console.note(f"{path}: the voice {voice.name!r}, made by the model {voice.model!r}")
