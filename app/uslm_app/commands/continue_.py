"""`uslm continue`: a recording in, the recording and what may follow it out."""

from __future__ import annotations

from uslm_app.cli.console import Console
from uslm_app.cli.given import ContinueOptions
from uslm_app.cli.inputs import check_file
from uslm_app.cli.outputs import audio_target, sidecar_path


def run(options: ContinueOptions, console: Console) -> None:
    """Check files and places; then wake PyTorch and go on."""
    check_file(options.prompt, "the prompt")
    inputs = (options.prompt,)
    target = audio_target(options.out, options.format, console, force=options.force, inputs=inputs)
    sidecar = sidecar_path(options.out, force=options.force) if options.sidecar else None

    from uslm_app.actions.continuing import continue_speech

    continue_speech(target, sidecar, options, console)
