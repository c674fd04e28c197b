"""The whole command line as one parser, as shells' completion wants it."""

from __future__ import annotations

import argparse

import shtab

from uslm_app.cli.parser import COMMANDS, command_parser, main_parser

FILES = {"FILE", "AUDIO", "VOICE", "JOBS", "CODES", "OUT"}
"""Metavars of what is a file."""
FOLDERS = {"FOLDER"}


def completion_script(shell: str, command: str = "uslm") -> str:
    """Script that a shell is to source, for `uslm` or `uslm-tts`."""
    if command == "uslm-tts":
        parser = command_parser("say")
        parser.prog = command
    else:
        parser = whole_parser()
    return shtab.complete(_with_files(parser), shell)


def whole_parser() -> argparse.ArgumentParser:
    """`uslm` with all its commands below it; `voice create` is `create` below `voice`."""
    whole = main_parser()
    below = whole.add_subparsers()
    groups: dict[str, argparse._SubParsersAction[argparse.ArgumentParser]] = {}
    for words, command in COMMANDS.items():
        first, _, second = words.partition(" ")
        if second and first not in groups:
            actions = [each.split()[1] for each in COMMANDS if each.startswith(f"{first} ")]
            group = below.add_parser(first, help=", ".join(actions))
            groups[first] = group.add_subparsers()
        branch = groups[first] if second else below
        _with_files(branch.add_parser(second or first, help=command.help, parents=[_bare(words)]))
    return whole


def _bare(words: str) -> argparse.ArgumentParser:
    """The parser of a command, for its options alone."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    COMMANDS[words].add_options(parser)
    return parser


def _with_files(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The same; what names a file or a folder is completed as one."""
    for action in parser._actions:
        names = action.metavar if isinstance(action.metavar, tuple) else (action.metavar,)
        if set(names) & FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif set(names) & FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    return parser
