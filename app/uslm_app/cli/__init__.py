"""The commands `uslm` and `uslm-tts`: parse, run, and turn what went wrong into one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from keyword import iskeyword

from uslm_app.cli.console import Console, open_console
from uslm_app.cli.exit_codes import ExitCode, explain
from uslm_app.cli.parser import parse
from uslm_tokenizer.addresses import load_address
from uslm_tokenizer.errors import MissingResource


def main(arguments: Sequence[str] | None = None) -> int:
    """`uslm`: returns the exit code."""
    return _run(list(sys.argv[1:] if arguments is None else arguments))


def main_say(arguments: Sequence[str] | None = None) -> int:
    """`uslm-tts`, which is `uslm say`."""
    return _run(["say", *(sys.argv[1:] if arguments is None else arguments)])


def _run(arguments: list[str]) -> int:
    debug = "--debug" in arguments
    try:
        with open_console(keep_noise=debug) as console:
            try:
                return _run_command(arguments, console)
            except SystemExit as exit:  # --help and --version have printed and are done
                return int(exit.code or 0)
            except BrokenPipeError:
                return ExitCode.BROKEN_PIPE
            except Exception as error:
                if debug:
                    raise
                code, line = explain(error)
                console.error(line)
                return code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


def _run_command(arguments: list[str], console: Console) -> int:
    _check_folder()
    options = parse(arguments, console)
    console.quiet = options.quiet
    # Imported only now that the command line is understood: PyTorch takes more than a second.
    words = options.command.split(" ")  # the first of two is a folder
    words[-1] += "_" * iskeyword(words[-1])  # no module can be called "continue"
    name = ".".join(words)
    run = load_address(f"uslm_app.commands.{name}:run")
    run(options, console)
    return ExitCode.OK


def _check_folder() -> None:
    """Raise MissingResource if the working folder was deleted: PyTorch would end the process."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise MissingResource("the folder this runs in was deleted; go to another one") from None
