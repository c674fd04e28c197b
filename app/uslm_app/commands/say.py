"""`uslm say`, also `uslm-tts`: a text and a voice in, speech out. Here, what costs no time."""

from __future__ import annotations

import argparse

from uslm_app.console import Console
from uslm_app.inputs import check_file, check_voice_options, read_text
from uslm_app.outputs import audio_target, check_distinct, check_output, sidecar_path


def run(options: argparse.Namespace, console: Console) -> None:
    """Check texts, files and places; then wake PyTorch and speak."""
    check_voice_options(options)
    text = read_text(options)
    if options.lexicon is not None:
        check_file(options.lexicon, "the lexicon")
    inputs = (options.prompt, options.voice, options.file, options.lexicon)
    target = audio_target(options.out, options.format, console, force=options.force, inputs=inputs)
    sidecar = sidecar_path(options.out, force=options.force) if options.sidecar else None
    for subtitles in (options.srt, options.vtt):
        if subtitles is not None:
            check_output(subtitles, force=options.force, inputs=inputs)
    check_distinct((options.out, sidecar, options.srt, options.vtt))

    from uslm_app.speaking import say

    say(text, target, sidecar, options, console)
