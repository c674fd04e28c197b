"""`uslm completion`: a script that a shell sources to complete the commands and their options."""

from __future__ import annotations

from uslm_app.cli.completion import completion_script
from uslm_app.cli.console import Console
from uslm_app.cli.given import CompletionOptions


def run(options: CompletionOptions, console: Console) -> None:
    """Print the script."""
    for line in completion_script(options.shell, options.of).splitlines():
        console.result(line)
