"""`uslm completion`: what a shell sources to complete the commands and their options."""

from __future__ import annotations

import argparse

from uslm_app.cli.completion import completion_script
from uslm_app.cli.console import Console


def run(options: argparse.Namespace, console: Console) -> None:
    """Print the script."""
    for line in completion_script(options.shell, options.of).splitlines():
        console.result(line)
