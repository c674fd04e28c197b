"""Goes on from a recording, writes it and reports."""

from __future__ import annotations

from dataclasses import replace

import torch

from uslm.generate.sampling import Sampling
from uslm.output.watermark import MarkedStream
from uslm_app.actions import engine
from uslm_app.cli.console import Console
from uslm_app.cli.given import ContinueOptions
from uslm_app.cli.outputs import AudioTarget, write_json
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.audio.write import output_format, write_audio


def continue_speech(
    target: AudioTarget, sidecar: str | None, options: ContinueOptions, console: Console
) -> None:
    """Read the recording, load both models, go on, report. The recording itself is not marked."""
    format = output_format(target, options.format)
    prompt = read_audio(options.prompt)
    for warning in prompt.source.warnings if prompt.source else ():
        console.warn(warning)
    watermark = engine.load_watermark(options.watermark)
    engine.check_model(options.model)
    continuer = engine.load_continuer(options)
    speech = continuer.continue_speech(
        prompt, seconds=options.seconds, sampling=_sampling(options), seed=options.seed
    )
    if watermark is not None:
        marked = MarkedStream(watermark, speech.sample_rate).push(speech.waveform, is_final=True)
        settings = {**speech.settings, "watermark": watermark.name}
        speech = replace(speech, waveform=marked, settings=settings)
    waveform = speech.waveform
    if not options.only_new:
        waveform = torch.cat([prompt.resampled(speech.sample_rate).waveform, waveform], dim=1)
    write_audio(target, waveform, speech.sample_rate, format=format, force=options.force)
    record = {
        "out": options.out, "prompt": options.prompt, "lm": options.lm, **speech.to_dict(),
    }  # fmt: skip
    if sidecar is not None:
        write_json(sidecar, record, force=options.force)
    if options.json:
        console.json(record)
        return
    console.note(
        f"{options.out}: {speech.seconds:.2f} s after {prompt.seconds:.2f} s, "
        f"in {speech.timings.total:.2f} s, seed {speech.seed}"
    )


def _sampling(options: ContinueOptions) -> Sampling:
    """Sampling as the options say, and else the library's own."""
    names = ("temperature", "top_k", "top_p")
    said = {name: getattr(options, name) for name in names}
    return replace(Sampling(), **{n: value for n, value in said.items() if value is not None})
