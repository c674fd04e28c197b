"""Takes the noise of a recording away, writes it and reports."""

from __future__ import annotations

from uslm_app.actions import engine
from uslm_app.cli.console import Console
from uslm_app.cli.given import EnhanceOptions
from uslm_app.cli.outputs import AudioTarget, write_json
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.audio.write import output_format, write_audio


def enhance(
    target: AudioTarget, sidecar: str | None, options: EnhanceOptions, console: Console
) -> None:
    """Read the recording, load the model, enhance, report."""
    format = output_format(target, options.format)
    noisy = read_audio(options.audio)
    for warning in noisy.source.warnings if noisy.source else ():
        console.warn(warning)
    engine.check_model(options.model)
    speech = engine.load_enhancer(options.model, options).enhance(noisy, seed=options.seed)
    write_audio(target, speech.waveform, speech.sample_rate, format=format, force=options.force)
    record = {"out": options.out, "audio": options.audio, **speech.to_dict()}
    if sidecar is not None:
        write_json(sidecar, record, force=options.force)
    if options.json:
        console.json(record)
        return
    total = speech.timings.total
    console.note(f"{options.out}: {speech.seconds:.2f} s in {total:.2f} s, seed {speech.seed}")
