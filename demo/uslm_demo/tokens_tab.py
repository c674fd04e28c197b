"""The tab that shows the last speech as the models see it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import gradio as gr

from uslm_demo.engine import Engine
from uslm_demo.errors import shown
from uslm_demo.pictures import draw_speech
from uslm_demo.speaking import Made

EXPLANATION = """
Left of 0 s lies the voice that was given, right of it what the model made. Both pictures at the top
are of the waveform decoded from the codes below them: `units` are what the first language model
says, the other levels what the second one adds. The same colour in the same row is the same code.
"""


def tokens_tab(engine: Engine, made: gr.State, spoken: list[gr.events.Dependency]) -> None:
    """Lay the tab out; it draws anew whenever one of the events in `spoken` succeeds."""
    gr.Markdown(EXPLANATION)
    picture = gr.Image(
        label="Tokens",
        show_label=False,
        type="filepath",
        format="png",
        interactive=False,
        buttons=["download", "fullscreen"],
        placeholder="Speak or convert something first.",
        alt_text="Waveform, mel spectrogram and codes of the last speech, on one time axis",
    )

    @shown
    def on_made(made: Made | None) -> Iterator[str | None]:
        if made is None:
            yield None
            return
        with tempfile.TemporaryDirectory(prefix="uslm-") as folder:
            path = Path(folder) / f"uslm-{made.speech.seed}.png"
            tokenizer = engine.tts().speaker.tokenizer
            yield str(draw_speech(made.speech, made.voice, path, tokenizer=tokenizer))

    for event in spoken:
        event.success(on_made, inputs=made, outputs=picture, api_visibility="private")
