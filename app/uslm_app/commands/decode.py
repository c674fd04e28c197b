"""`uslm decode`: codes in, audio out."""

from __future__ import annotations

from uslm_app.cli.console import Console
from uslm_app.cli.given import DecodeOptions
from uslm_app.cli.inputs import check_file
from uslm_app.cli.outputs import audio_target


def run(options: DecodeOptions, console: Console) -> None:
    """Check the files; then load the tokenizer and decode."""
    check_file(options.codes, "the codes file")
    target = audio_target(
        options.out, options.format, console, force=options.force, inputs=(options.codes,)
    )

    from uslm_app.actions.coding import decode

    seconds, sample_rate = decode(target, options)
    if options.json:
        console.json({"out": options.out, "seconds": round(seconds, 4), "sample_rate": sample_rate})
        return
    console.note(f"{options.out}: {seconds:.2f} s")
