"""Takes the noise of a recording away, writes it and reports."""

from __future__ import annotations

from uslm_app.actions import engine
from uslm_app.actions.recordings import open_source, report
from uslm_app.cli.console import Console
from uslm_app.cli.given import EnhanceOptions
from uslm_app.cli.outputs import AudioTarget
from uslm_tokenizer.audio.write import output_format, write_audio


def enhance(
    target: AudioTarget, sidecar: str | None, options: EnhanceOptions, console: Console
) -> None:
    """Read the recording, load the model, enhance, report."""
    format = output_format(target, options.format)
    noisy = open_source(options.audio, console)
    engine.check_model(options.model)
    speech = engine.load_enhancer(options.model, options).enhance(noisy, seed=options.seed)
    write_audio(target, speech.waveform, speech.sample_rate, format=format, force=options.force)
    record = {"out": options.out, "audio": options.audio, **speech.to_dict()}
    total = speech.timings.total
    note = f"{options.out}: {speech.seconds:.2f} s in {total:.2f} s, seed {speech.seed}"
    report(record, sidecar, console, note, force=options.force, json=options.json)
