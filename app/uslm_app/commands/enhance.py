"""`uslm enhance`: a noisy recording in, the same without its noise out."""

from __future__ import annotations

from uslm_app.cli.console import Console
from uslm_app.cli.given import EnhanceOptions
from uslm_app.cli.inputs import check_file
from uslm_app.cli.outputs import audio_target, sidecar_path


def run(options: EnhanceOptions, console: Console) -> None:
    """Check files and places; then wake PyTorch and enhance."""
    check_file(options.audio, "the recording")
    inputs = (options.audio,)
    target = audio_target(options.out, options.format, console, force=options.force, inputs=inputs)
    sidecar = sidecar_path(options.out, force=options.force) if options.sidecar else None

    from uslm_app.actions.enhancing import enhance

    enhance(target, sidecar, options, console)
