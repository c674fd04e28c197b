"""Sings a score, writes it and reports."""

from __future__ import annotations

from uslm.text.score_files import read_score
from uslm_app.actions import engine
from uslm_app.actions.recordings import marked, report
from uslm_app.actions.voices import open_voice
from uslm_app.cli.console import Console
from uslm_app.cli.given import SingOptions
from uslm_app.cli.outputs import AudioTarget
from uslm_tokenizer.audio.write import output_format, write_audio


def sing(target: AudioTarget, sidecar: str | None, options: SingOptions, console: Console) -> None:
    """Read score and voice, load the model, sing, report."""
    format = output_format(target, options.format)
    score = read_score(options.score)
    if options.lyrics is not None:
        score = score.with_lyrics(options.lyrics)
    score.words()  # what lacks its words is refused before anything slow
    opened = open_voice(prompt=options.prompt, voice=options.voice, text=options.prompt_text)
    watermark = engine.load_watermark(options.watermark)
    engine.check_model(options.model)
    singer = engine.load_singer(options.model, options)
    voice = opened.voice(singer, console)
    speech = singer.sing(score, voice, transpose=options.transpose, seed=options.seed)
    speech = marked(speech, watermark)
    write_audio(target, speech.waveform, speech.sample_rate, format=format, force=options.force)
    record = {"out": options.out, "score": options.score, **speech.to_dict()}
    total = speech.timings.total
    note = (
        f"{options.out}: {speech.seconds:.2f} s in {total:.2f} s in the voice of {voice.name!r}, "
        f"seed {speech.seed}"
    )
    report(record, sidecar, console, note, force=options.force, json=options.json)
