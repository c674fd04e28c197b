"""`uslm evaluate`: a model or sounds in, a report out. Here, what costs no time."""

from __future__ import annotations

import os
from pathlib import Path

from uslm_app.cli.console import Console
from uslm_app.cli.exit_codes import UsageError
from uslm_app.cli.given import EvaluateOptions
from uslm_app.cli.inputs import check_file
from uslm_tokenizer.errors import UserError


def run(options: EvaluateOptions, console: Console) -> None:
    """Check options and files; then load, speak, judge and report."""
    if options.manifest is not None:
        check_file(options.manifest, "the manifest")
        if options.list is not None or options.recordings is not None:
            raise UsageError("--manifest is a bench of its own: without --list and --recordings")
        _check_out(options)

        from uslm_app.actions.benching import run_bench_of

        return run_bench_of(options, console)
    if options.list is None and options.recordings is None:
        raise UsageError("there is nothing to judge: give --list, --recordings or --manifest")
    if options.tokenizer is not None and len(options.tokenizer) > 1:
        raise UsageError("several tokenizers are for --manifest; name one")
    if options.list is not None:
        check_file(options.list, "the list")
        if options.recognizer is None:
            raise UsageError("--list needs --recognizer: error rates are of what is heard")
    elif options.speech is not None:
        raise UsageError("--speech needs the --list that it was made from")
    for recording in options.recordings or ():
        check_file(recording, "the recording")
    _check_out(options)

    from uslm_app.actions.evaluating import evaluate

    evaluate(options, console)


def _check_out(options: EvaluateOptions) -> None:
    if os.path.isfile(options.out):
        raise UserError(f"--out {options.out!r} must be a folder, but is a file")
    if (Path(options.out) / "report.json").exists() and not options.force:
        raise UserError(f"{options.out!r} holds an evaluation; choose another --out or say --force")
