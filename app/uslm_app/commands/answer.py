"""`uslm answer`: a question in, spoken or written, its answer in text and speech out."""

from __future__ import annotations

from uslm_app.cli.console import Console
from uslm_app.cli.exit_codes import UsageError
from uslm_app.cli.given import AnswerOptions
from uslm_app.cli.inputs import check_file, check_voice_options
from uslm_app.cli.outputs import audio_target, sidecar_path


def run(options: AnswerOptions, console: Console) -> None:
    """Check files and places; then wake PyTorch and answer."""
    if (options.audio is None) == (options.text is None):
        raise UsageError("give the question as --audio or as --text, and one of the two only")
    if options.text is not None and not options.text.strip():
        raise UsageError("--text must have words, but is empty")
    if options.text is not None and options.prompt is None and options.voice is None:
        raise UsageError("a written question has no voice to be answered in: give --voice")
    if options.audio is not None:
        check_file(options.audio, "the question")
    if options.prompt is not None or options.voice is not None:
        options = check_voice_options(options)
    elif options.prompt_text is not None:
        raise UsageError("--prompt-text goes with --prompt")
    inputs = (options.audio, options.prompt, options.voice)
    target = audio_target(options.out, options.format, console, force=options.force, inputs=inputs)
    sidecar = sidecar_path(options.out, force=options.force) if options.sidecar else None

    from uslm_app.actions.answering import answer

    answer(target, sidecar, options, console)
