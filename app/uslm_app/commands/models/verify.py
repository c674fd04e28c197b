"""`uslm models verify`: read downloaded files again and compare them with their hashes."""

from __future__ import annotations

from uslm_app.cli.console import Console
from uslm_app.cli.option_groups import NamesOptions


def run(options: NamesOptions, console: Console) -> None:
    """A line for each file; fails if one is damaged or missing."""
    from uslm_app.actions.models import STORE, refuse_unhealthy

    found = {name: STORE.check(name) for name in options.names}
    if options.json:
        console.json(
            {
                name: {source.address: state for source, state in health.items()}
                for name, health in found.items()
            }
        )
    for name, health in found.items():
        if not options.json:
            for source, state in health.items():
                console.result(f"{state:<8} {source.address}")
        refuse_unhealthy(name, health)
