"""`uslm voice remove`: delete kept voices."""

from __future__ import annotations

from uslm.voices.names import default_folder, existing_voice, voice_names
from uslm.voices.stock import stock_voices
from uslm_app.cli.console import Console
from uslm_app.cli.option_groups import NamesOptions
from uslm_tokenizer.errors import UserError


def run(options: NamesOptions, console: Console) -> None:
    """All of them or, where a name is wrong, none."""
    folder = default_folder()
    for name in options.names:
        if name in stock_voices() and name not in voice_names(folder):
            raise UserError(f"the voice {name!r} comes with uslm, and cannot be removed")
    paths = [existing_voice(folder, name) for name in dict.fromkeys(options.names)]
    for path in paths:
        path.unlink()
    if options.json:
        console.json({"removed": [path.stem for path in paths]})
        return
    console.note(f"removed: {', '.join(path.stem for path in paths)}")
