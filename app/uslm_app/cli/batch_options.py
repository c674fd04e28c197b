"""The options of `uslm batch`."""

from __future__ import annotations

from argparse import ArgumentParser

from uslm_app.cli.option_types import number, one_of, whole
from uslm_app.cli.options import (
    FORMATS,
    SEED,
    add_any_language,
    add_common,
    add_model,
    add_voice,
)


def add_batch(parser: ArgumentParser) -> None:
    """Options of `uslm batch`."""
    parser.add_argument(
        "jobs", metavar="JOBS",
        help="JSON lines, or .csv with a header: text, and as wanted name, voice, prompt, "
        "prompt_text, seed, speed, format",
    )  # fmt: skip
    parser.add_argument(
        "--out", required=True, metavar="FOLDER",
        help="one file a job, NAME.FORMAT; a job whose file is there is done already",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="speak again what is there already")
    parser.add_argument(
        "--slots", type=whole(1, 256), default=8, metavar="N",
        help="jobs that are spoken at a time, in one batch (default 8)",
    )  # fmt: skip
    jobs = parser.add_argument_group("for jobs that do not say")
    jobs.add_argument(
        "--format", type=one_of(FORMATS), default="wav", metavar="NAME",
        help=f"one of {', '.join(FORMATS)} (default wav)",
    )  # fmt: skip
    jobs.add_argument("--seed", **SEED)
    jobs.add_argument("--speed", type=number(0.25, 4), default=1.0, metavar="X", help="0.25 to 4")
    add_voice(parser, "voice of jobs that name none (ada if none is given)")
    parser.add_argument(
        "--verify", action="store_true", help="verify each segment, regenerate bad ones"
    )
    parser.add_argument("--language", metavar="CODE", help="of the texts (default: the model's)")
    add_any_language(parser)
    add_model(parser)
    add_common(parser)
