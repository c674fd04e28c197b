"""`uslm say`, also `uslm-tts`: a text and a voice in, speech out. Here, what costs no time."""

from __future__ import annotations

from dataclasses import replace

from uslm.voices.stock import DEFAULT_STOCK_VOICE
from uslm_app.cli.console import Console
from uslm_app.cli.exit_codes import UsageError
from uslm_app.cli.given import SayOptions
from uslm_app.cli.inputs import check_file, check_manner, check_voice_options, read_text
from uslm_app.cli.onnx_options import check_onnx_options
from uslm_app.cli.outputs import (
    audio_target,
    check_distinct,
    check_output,
    sidecar_path,
    unused_file,
)
from uslm_app.cli.roles import find_roles, is_script


def run(options: SayOptions, console: Console) -> None:
    """Check texts, files and places; then wake PyTorch and speak."""
    if options.backend == "onnx":
        check_onnx_options(options)
    # The first who speaks in a script may be all the voice that there is.
    if not is_script(options) or options.prompt is not None or options.voice is not None:
        options = check_voice_options(options, default=DEFAULT_STOCK_VOICE)
    options = check_manner(options)
    if options.manner is not None and is_script(options):
        raise UsageError("--manner goes with one voice; it cannot be given with --script")
    text = read_text(options)
    roles = None
    if is_script(options):
        options, roles = find_roles(text, options)
    if options.lexicon is not None:
        check_file(options.lexicon, "the lexicon")
    out = unused_file("speech", options.format) if options.out is None else options.out
    options = replace(options, out=out)
    named = (options.prompt, options.voice, options.manner, options.file, options.lexicon)
    inputs = (*named, *(roles or {}).values())
    target = audio_target(out, options.format, console, force=options.force, inputs=inputs)
    sidecar = sidecar_path(out, force=options.force) if options.sidecar else None
    for subtitles in (options.srt, options.vtt):
        if subtitles is not None:
            check_output(subtitles, force=options.force, inputs=inputs)
    check_distinct((out, sidecar, options.srt, options.vtt))

    if options.backend == "onnx":
        from uslm_app.actions.onnx_speaking import say_onnx

        say_onnx(text, target, sidecar, options, console)
        return

    from uslm_app.actions.speaking import say

    say(text, roles, target, sidecar, options, console)
