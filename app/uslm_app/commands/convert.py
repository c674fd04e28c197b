"""`uslm convert`: a recording and a voice in, the recording in that voice out."""

from __future__ import annotations

from uslm_app.cli.console import Console
from uslm_app.cli.exit_codes import UsageError
from uslm_app.cli.given import ConvertOptions
from uslm_app.cli.inputs import check_file, check_manner, check_voice_options
from uslm_app.cli.outputs import audio_target, sidecar_path


def run(options: ConvertOptions, console: Console) -> None:
    """Check files and places; then wake PyTorch and convert."""
    check_file(options.source, "the source")
    options = check_manner(check_voice_options(options))
    if options.manner is not None and options.imitate != "both":
        raise UsageError(
            f"--manner goes with --imitate both; with --imitate {options.imitate} one voice is all "
            "that is imitated, that of --prompt or --voice"
        )
    inputs = (options.source, options.prompt, options.voice, options.manner)
    target = audio_target(options.out, options.format, console, force=options.force, inputs=inputs)
    sidecar = sidecar_path(options.out, force=options.force) if options.sidecar else None

    from uslm_app.actions.converting import convert

    convert(target, sidecar, options, console)
