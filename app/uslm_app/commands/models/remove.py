"""`uslm models remove`: delete pretrained models from this machine."""

from __future__ import annotations

from uslm_app.cli.console import Console
from uslm_app.cli.option_groups import NamesOptions


def run(options: NamesOptions, console: Console) -> None:
    """Files that another model shares stay."""
    from uslm.systems.catalogue import CATALOGUE
    from uslm_app.actions.models import STORE

    for name in options.names:
        CATALOGUE.get(name)
    freed = {name: STORE.remove(name) for name in dict.fromkeys(options.names)}
    if options.json:
        console.json({"freed": freed})
        return
    for name, size in freed.items():
        console.note(f"{name}: {size / 1e6:.0f} MB freed" if size else f"{name} was not here")
