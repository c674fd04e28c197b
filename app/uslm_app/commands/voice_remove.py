"""`uslm voice remove`: delete kept voices."""

from __future__ import annotations

import argparse

from uslm.voices.names import default_folder, existing_voice
from uslm_app.cli.console import Console


def run(options: argparse.Namespace, console: Console) -> None:
    """All of them or, where a name is wrong, none."""
    paths = [existing_voice(default_folder(), name) for name in dict.fromkeys(options.names)]
    for path in paths:
        path.unlink()
    if options.json:
        console.json({"removed": [path.stem for path in paths]})
        return
    console.note(f"removed: {', '.join(path.stem for path in paths)}")
