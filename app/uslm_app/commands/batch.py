"""`uslm batch`: many texts, one model. Here, what costs no time."""

from __future__ import annotations

from pathlib import Path

from uslm.voices.stock import DEFAULT_STOCK_VOICE
from uslm_app.cli.console import Console
from uslm_app.cli.exit_codes import UsageError
from uslm_app.cli.given import BatchOptions
from uslm_app.cli.inputs import check_voice_options
from uslm_app.cli.jobs import read_jobs
from uslm_tokenizer.errors import UserError


def run(options: BatchOptions, console: Console) -> None:
    """Read all jobs; then wake PyTorch, speak those that are left, and tell of each."""
    if options.prompt == "-":
        raise UsageError("--prompt - is for one text; give a file")
    options = check_voice_options(options, default=DEFAULT_STOCK_VOICE)
    names = ("format", "seed", "speed", "voice", "prompt", "prompt_text")
    jobs = read_jobs(options.jobs, {name: getattr(options, name) for name in names})
    folder = Path(options.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        reason = problem.strerror or problem
        raise UserError(f"the folder {options.out!r} cannot be made: {reason}") from problem

    from uslm_app.actions.batch import speak_batch

    speak_batch(jobs, folder, options, console)
