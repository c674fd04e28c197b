"""`uslm voice list`: the voices that are kept."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from uslm_app.cli.console import Console

if TYPE_CHECKING:
    from uslm.voices.prompt import VoicePrompt
    from uslm.voices.store import VoiceStore


def run(options: argparse.Namespace, console: Console) -> None:
    """A line for each voice."""
    from uslm.voices.store import VoiceStore
    from uslm_app.actions.voices import describe

    store = VoiceStore()
    voices = [voice for name in store.names() if (voice := _load(store, name, console))]
    if options.json:
        console.json({"folder": str(store.folder), "voices": [describe(each) for each in voices]})
        return
    if not voices:
        console.note(f"no voices are kept in {store.folder}; uslm voice create makes one")
    width = max((len(voice.name) for voice in voices), default=0)
    for voice in voices:
        facts = [f"{voice.seconds:5.1f} s", voice.model, voice.licence or "licence unknown"]
        console.result(f"{voice.name:<{width}}  {'  '.join(facts)}")


def _load(store: VoiceStore, name: str, console: Console) -> VoicePrompt | None:
    """A voice; one that cannot be read is warned of, and left out."""
    from uslm_tokenizer.errors import UserError

    try:
        return store.load(name)
    except UserError as problem:
        console.warn(str(problem))
        return None
