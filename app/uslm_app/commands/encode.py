"""`uslm encode`: a recording in, codes out."""

from __future__ import annotations

import dataclasses

from uslm_app.cli.console import Console
from uslm_app.cli.given import EncodeOptions
from uslm_app.cli.inputs import check_file
from uslm_app.cli.outputs import check_output, check_suffix


def run(options: EncodeOptions, console: Console) -> None:
    """Check the files; then load the tokenizer and encode."""
    check_file(options.audio, "the recording")
    check_suffix(options.out, ".safetensors", "the codes file")
    check_output(options.out, force=options.force, inputs=(options.audio,))

    from uslm_app.actions.coding import encode

    codes = encode(options, console)
    codes.save(options.out, force=options.force)
    num_codebooks, num_frames = codes.codes.shape
    if options.json:
        record = dataclasses.asdict(codes.info)
        shape = {"num_codebooks": num_codebooks, "num_frames": num_frames}
        console.json({"out": options.out, **shape, **record})
        return
    console.note(
        f"{options.out}: {num_codebooks} x {num_frames} codes, {codes.info.frame_rate:g} frames "
        "per second"
    )
