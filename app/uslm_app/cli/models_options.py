"""The options of `uslm models ...` and `uslm codecs`."""

from __future__ import annotations

from argparse import ArgumentParser

from uslm_app.cli.option_types import one_of
from uslm_app.cli.options import DTYPES, add_common

NAME_HELP = "name of a pretrained model, as uslm models list has it"


def add_models_list(parser: ArgumentParser) -> None:
    """Options of `uslm models list`."""
    parser.add_argument("--here", action="store_true", help="only those that are on this machine")
    add_common(parser)


def add_models_info(parser: ArgumentParser) -> None:
    """Options of `uslm models info`."""
    parser.add_argument("name", metavar="NAME", help=NAME_HELP)
    add_common(parser)


def add_models_path(parser: ArgumentParser) -> None:
    """Options of `uslm models path`."""
    parser.add_argument("name", metavar="NAME", help=NAME_HELP)
    add_common(parser)


def add_models_download(parser: ArgumentParser) -> None:
    """Options of `uslm models download`."""
    parser.add_argument("names", nargs="+", metavar="NAME", help=NAME_HELP)
    _add_offline(parser)
    add_common(parser)


def add_models_verify(parser: ArgumentParser) -> None:
    """Options of `uslm models verify`."""
    parser.add_argument("names", nargs="+", metavar="NAME", help=NAME_HELP)
    add_common(parser)


def add_models_convert(parser: ArgumentParser) -> None:
    """Options of `uslm models convert`."""
    parser.add_argument("name", metavar="NAME", help=NAME_HELP)
    parser.add_argument(
        "--out", metavar="FOLDER", help="where to write it (default: the cache, found by its name)"
    )
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="[PART=]FILE",
        help="a checkpoint of yours in place of the pretrained one: .safetensors, .pt, .ckpt, .bin",
    )
    parser.add_argument(
        "--config", metavar="FILE", help="a config of yours in place of the pretrained one (JSON)"
    )
    parser.add_argument(
        "--dtype",
        type=one_of(DTYPES),
        metavar="NAME",
        help=f"precision to store, one of {', '.join(DTYPES)} (default: the checkpoint's)",
    )
    parser.add_argument("--force", action="store_true", help="replace an earlier conversion")
    _add_offline(parser)
    add_common(parser)


def add_models_remove(parser: ArgumentParser) -> None:
    """Options of `uslm models remove`."""
    parser.add_argument("names", nargs="+", metavar="NAME", help=NAME_HELP)
    add_common(parser)


def add_codecs(parser: ArgumentParser) -> None:
    """Options of `uslm codecs`."""
    add_common(parser)


def _add_offline(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--offline",
        action="store_true",
        help="ask no network, as with HF_HUB_OFFLINE=1: what is not in the cache is missing",
    )
