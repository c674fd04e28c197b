"""The options of `uslm voice ...`."""

from __future__ import annotations

from argparse import ArgumentParser

from uslm_app.cli.options import (
    PROMPT_HELP,
    PROMPT_TEXT_HELP,
    VOICE_HELP,
    add_common,
    add_model,
)

FORCE_HELP = "replace what exists"


def add_voice_create(parser: ArgumentParser) -> None:
    """Options of `uslm voice create`."""
    parser.add_argument("--prompt", required=True, metavar="AUDIO", help=PROMPT_HELP)
    parser.add_argument("--prompt-text", "--text", metavar="TEXT", help=PROMPT_TEXT_HELP)
    parser.add_argument("--name", metavar="NAME", help="what to call it (default: the file's name)")
    parser.add_argument(
        "--out", metavar="VOICE", help="voice file: X.safetensors (default: kept under its name)"
    )
    parser.add_argument(
        "--licence", metavar="TEXT", help="under which licence the recording may be used"
    )
    parser.add_argument("--consent", metavar="TEXT", help="who agreed to the use, and to what")
    parser.add_argument(
        "--speaker-model",
        metavar="NAME",
        help="makes the speaker vector: resemblyzer, an x-vector model's folder or Hub name, or "
        "package.module:callable (default: the codec)",
    )
    parser.add_argument(
        "--enhance",
        metavar="FOLDER",
        help="take the noise of a poor recording away first: the system that train_gense leaves",
    )
    parser.add_argument("--force", action="store_true", help=FORCE_HELP)
    add_model(parser)
    add_common(parser)


def add_voice_list(parser: ArgumentParser) -> None:
    """Options of `uslm voice list`."""
    add_common(parser)


def add_voice_show(parser: ArgumentParser) -> None:
    """Options of `uslm voice show`."""
    parser.add_argument("voice", metavar="VOICE", help=VOICE_HELP)
    add_common(parser)


def add_voice_play(parser: ArgumentParser) -> None:
    """Options of `uslm voice play`."""
    parser.add_argument("voice", metavar="VOICE", help=VOICE_HELP)
    add_model(parser)
    add_common(parser)


def add_voice_export(parser: ArgumentParser) -> None:
    """Options of `uslm voice export`."""
    parser.add_argument("voice", metavar="VOICE", help=VOICE_HELP)
    parser.add_argument(
        "--out",
        required=True,
        nargs="+",
        metavar="OUT",
        help="X.safetensors: the voice file; X.wav, .flac, ...: what its codes sound like",
    )
    parser.add_argument("--force", action="store_true", help=FORCE_HELP)
    add_model(parser)
    add_common(parser)


def add_voice_import(parser: ArgumentParser) -> None:
    """Options of `uslm voice import`."""
    parser.add_argument("file", metavar="FILE", help="voice file: X.safetensors")
    parser.add_argument("--name", metavar="NAME", help="what to call it (default: its own name)")
    parser.add_argument("--force", action="store_true", help=FORCE_HELP)
    add_common(parser)


def add_voice_remove(parser: ArgumentParser) -> None:
    """Options of `uslm voice remove`."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="name of a kept voice")
    add_common(parser)
