"""Goes on from a recording, writes it and reports."""

from __future__ import annotations

from dataclasses import replace

import torch

from uslm.generate.sampling import Sampling
from uslm_app.actions import engine
from uslm_app.actions.recordings import marked, open_source, report
from uslm_app.cli.console import Console
from uslm_app.cli.given import ContinueOptions
from uslm_app.cli.outputs import AudioTarget
from uslm_tokenizer.audio.write import output_format, write_audio


def continue_speech(
    target: AudioTarget, sidecar: str | None, options: ContinueOptions, console: Console
) -> None:
    """Read the recording, load both models, go on, report. The recording itself is not marked."""
    format = output_format(target, options.format)
    prompt = open_source(options.prompt, console)
    watermark = engine.load_watermark(options.watermark)
    engine.check_model(options.model)
    continuer = engine.load_continuer(options)
    speech = continuer.continue_speech(
        prompt, seconds=options.seconds, sampling=_sampling(options), seed=options.seed
    )
    speech = marked(speech, watermark)
    waveform = speech.waveform
    if not options.only_new:
        waveform = torch.cat([prompt.resampled(speech.sample_rate).waveform, waveform], dim=1)
    write_audio(target, waveform, speech.sample_rate, format=format, force=options.force)
    record = {
        "out": options.out, "prompt": options.prompt, "lm": options.lm, **speech.to_dict(),
    }  # fmt: skip
    note = (
        f"{options.out}: {speech.seconds:.2f} s after {prompt.seconds:.2f} s, "
        f"in {speech.timings.total:.2f} s, seed {speech.seed}"
    )
    report(record, sidecar, console, note, force=options.force, json=options.json)


def _sampling(options: ContinueOptions) -> Sampling:
    """Sampling as the options say, and else the library's own."""
    names = ("temperature", "top_k", "top_p")
    said = {name: getattr(options, name) for name in names}
    return replace(Sampling(), **{n: value for n, value in said.items() if value is not None})
