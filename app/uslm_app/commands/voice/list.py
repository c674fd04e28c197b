"""`uslm voice list`: the voices that are kept, and those that come with the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uslm_app.cli.console import Console
from uslm_app.cli.option_groups import CommonOptions

if TYPE_CHECKING:
    from uslm.voices.prompt import VoicePrompt
    from uslm.voices.store import VoiceStore


def run(options: CommonOptions, console: Console) -> None:
    """A line for each voice."""
    from uslm.voices.stock import stock_voices
    from uslm.voices.store import VoiceStore
    from uslm_app.actions.voices import describe

    store = VoiceStore()
    voices = [voice for name in store.names() if (voice := _load(store, name, console))]
    stock = list(stock_voices().values())
    if options.json:
        kept = [describe(each) for each in voices]
        ours = [{"name": each.name, "description": each.description} for each in stock]
        console.json({"folder": str(store.folder), "voices": kept, "stock": ours})
        return
    if not voices:
        console.note(f"no voices are kept in {store.folder}; uslm voice create makes one")
    width = max(map(len, [*(each.name for each in voices), *(each.name for each in stock)]))
    for voice in voices:
        facts = [f"{voice.seconds:5.1f} s", voice.model, voice.licence or "licence unknown"]
        console.result(f"{voice.name:<{width}}  {'  '.join(facts)}")
    for each in stock:
        console.result(f"{each.name:<{width}}  comes with uslm  {each.description}")


def _load(store: VoiceStore, name: str, console: Console) -> VoicePrompt | None:
    """A voice; one that cannot be read is warned of, and left out."""
    from uslm_tokenizer.errors import UserError

    try:
        return store.load(name)
    except UserError as problem:
        console.warn(str(problem))
        return None
