"""`uslm models path`: the folder to load a pretrained model from."""

from __future__ import annotations

import argparse

from uslm_app.cli.console import Console


def run(options: argparse.Namespace, console: Console) -> None:
    """Print it, and nothing else."""
    from uslm_app.actions.models import path

    folder = str(path(options.name))
    console.json({"path": folder}) if options.json else console.result(folder)
