"""`uslm sing`: a score, its words and a voice in, a song out."""

from __future__ import annotations

from uslm_app.cli.console import Console
from uslm_app.cli.given import SingOptions
from uslm_app.cli.inputs import check_file, check_voice_options
from uslm_app.cli.outputs import audio_target, sidecar_path


def run(options: SingOptions, console: Console) -> None:
    """Check files and places; then wake PyTorch and sing."""
    check_file(options.score, "the score")
    options = check_voice_options(options)
    inputs = (options.score, options.prompt, options.voice)
    target = audio_target(options.out, options.format, console, force=options.force, inputs=inputs)
    sidecar = sidecar_path(options.out, force=options.force) if options.sidecar else None

    from uslm_app.actions.singing import sing

    sing(target, sidecar, options, console)
