"""Answers a question, writes the speech and reports the text."""

from __future__ import annotations

from uslm_app.actions import engine
from uslm_app.actions.recordings import marked, open_source, report
from uslm_app.actions.voices import open_voice
from uslm_app.cli.console import Console
from uslm_app.cli.given import AnswerOptions
from uslm_app.cli.outputs import AudioTarget
from uslm_tokenizer.audio.write import output_format, write_audio


def answer(
    target: AudioTarget, sidecar: str | None, options: AnswerOptions, console: Console
) -> None:
    """Read the question and the voice, load the model, answer, report."""
    format = output_format(target, options.format)
    question = None if options.audio is None else open_source(options.audio, console)
    opened = None
    if options.prompt is not None or options.voice is not None:
        opened = open_voice(prompt=options.prompt, voice=options.voice, text=options.prompt_text)
    watermark = engine.load_watermark(options.watermark)
    engine.check_model(options.model)
    answerer = engine.load_answerer(options.model, options)
    voice = None if opened is None else opened.voice(answerer, console)
    speech = answerer.answer(question, text=options.text, voice=voice, seed=options.seed)
    speech = marked(speech, watermark)
    write_audio(target, speech.waveform, speech.sample_rate, format=format, force=options.force)
    record = {"out": options.out, "audio": options.audio, **speech.to_dict()}
    note = (
        f"{options.out}: {speech.seconds:.2f} s in {speech.timings.total:.2f} s, seed "
        f"{speech.seed}: {speech.written}"
    )
    report(record, sidecar, console, note, force=options.force, json=options.json)
