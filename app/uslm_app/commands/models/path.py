"""`uslm models path`: the folder to load a pretrained model from."""

from __future__ import annotations

from uslm_app.cli.console import Console
from uslm_app.cli.option_groups import NameOptions


def run(options: NameOptions, console: Console) -> None:
    """Print it, and nothing else."""
    from uslm_app.actions.models import path

    folder = str(path(options.name))
    console.json({"path": folder}) if options.json else console.result(folder)
