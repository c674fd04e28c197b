"""The tab that shows the last speech as the models see it, and compares codecs on a clip."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from uslm_demo.comparing import CodecChoice, Codecs, comparison
from uslm_demo.context import LISTENING, Context
from uslm_demo.errors import field, fine, shown
from uslm_demo.pictures import draw_speech
from uslm_demo.speaking import Made
from uslm_demo.tabs.outcome import download, ready
from uslm_demo.tokens import speech_view
from uslm_demo.voices import needed, read
from uslm_demo.widgets.token_view import token_view

EXPLANATION = """\
Left of 0 s lies the voice that was given, right of it what the model made. Waveform and mel are
decoded from the codes below them: `units` are what the first language model says, the other
codebooks what the second one adds. The same colour in the same row is the same code.
"""
COMPARISON = """\
### Two codecs on one clip

The clip at the top, and below it what each codec makes of it. Fewer codebooks are a lower bit rate.
"""


def tokens_tab(context: Context, made: gr.State, spoken: list[Any]) -> None:
    """Lay the tab out; it looks anew whenever one of the events in `spoken` succeeds."""
    gr.Markdown(EXPLANATION)
    shown_speech = token_view(
        context.sounds, "Tokens of the last speech", "Speak or convert something first.",
        elem_id="tokens-speech",
    )  # fmt: skip
    with gr.Row():
        draw = gr.Button(
            "Draw a picture", size="md", interactive=False, min_width=120, elem_id="tokens-draw"
        )
        picture = download("Download PNG", elem_id="tokens-png")

    @shown
    def on_made(made: Made | None) -> Iterator[tuple[Any, ...]]:
        if made is None:
            yield gr.skip(), gr.skip(), gr.skip()
            return
        value = speech_view(made, context.model.tts().synthesizer.tokenizer, context.sounds)
        nothing = gr.update(value=None, interactive=False)
        yield gr.update(value=value), gr.update(interactive=True), nothing

    @shown
    def on_draw(made: Made | None) -> Iterator[Any]:
        if made is None:
            yield gr.skip()
            return
        with tempfile.TemporaryDirectory(prefix="uslm-") as folder:
            path = Path(folder) / f"uslm-{made.speech.seed}.png"
            tokenizer = context.model.tts().synthesizer.tokenizer
            yield ready(draw_speech(made.speech, made.voice, path, tokenizer=tokenizer))

    quietly: dict[str, Any] = {
        "concurrency_limit": 1,
        "concurrency_id": LISTENING,
        "api_visibility": "private",
        "show_progress": "minimal",
    }
    for event in spoken:
        event.success(on_made, inputs=made, outputs=[shown_speech, draw, picture], **quietly)
    draw.click(on_draw, inputs=made, outputs=picture, **quietly)
    if context.codecs.names:
        _compare(context, quietly)


def _compare(context: Context, quietly: dict[str, Any]) -> None:
    codecs, most = context.codecs, context.limits.max_clip_seconds
    gr.Markdown(COMPARISON)
    with gr.Row():
        with gr.Column(min_width=300):
            clip = gr.Audio(
                label=f"Clip: up to {most:g} s",
                sources=["upload", "microphone"],
                type="filepath",
                buttons=[],
                elem_id="compare-clip",
            )
            if context.examples:
                gr.Examples(
                    [[str(path)] for path in context.examples], [clip], label="Clips to try",
                    elem_id="compare-examples", api_visibility="private",
                )  # fmt: skip
        with gr.Column(min_width=300):
            fields = _codec_fields(codecs)
            start = gr.Button("Compare", variant="primary", elem_id="compare-start")
            facts = gr.Markdown(elem_classes="note", elem_id="compare-facts")
    seen = token_view(
        context.sounds, "Two codecs on one clip", "Compare two codecs first.",
        elem_id="compare-view",
    )  # fmt: skip

    def check(clip: str | None, *_: Any) -> list[dict[str, Any]]:
        return [field(lambda: read(needed(clip, "a clip"), most)), *[fine()] * 4]

    @shown
    def on_compare(
        clip: str | None, name_a: str, count_a: int, name_b: str, count_b: int
    ) -> Iterator[tuple[Any, Any]]:
        audio = read(needed(clip, "a clip"), most)
        choices = ((name_a, count_a), (name_b, count_b))
        coded = []
        for name, count in choices:
            yield f"Coding with {name} …", gr.skip()
            coded.append(codecs.code(audio, CodecChoice(name=name, num_codebooks=int(count or 0))))
        words = "\n\n".join(f"{letter}: {each}" for letter, each in zip("AB", coded, strict=True))
        yield words, gr.update(value=comparison(audio, coded, context.sounds))

    start.click(
        on_compare, inputs=[clip, *fields], outputs=[facts, seen], validator=check, **quietly
    )


def _codec_fields(codecs: Codecs) -> list[Any]:
    """Name and number of codebooks of A, then of B; where there is one codec only, B is the same at
    its lowest bit rate."""
    fields: list[Any] = []
    for letter in "AB":
        place = min("AB".index(letter), len(codecs.names) - 1)
        name = codecs.names[place]
        is_same = letter == "B" and place == 0
        with gr.Row():
            fields += [
                gr.Dropdown(
                    codecs.names, value=name, label=f"Codec {letter}",
                    elem_id=f"compare-{letter}", min_width=240,
                ),
                gr.Number(
                    codecs.fewest_codebooks(name) if is_same else 0, precision=0, minimum=0,
                    label=f"Codebooks of {letter}", info="0: all of them",
                    elem_id=f"compare-{letter}-count", min_width=140,
                ),
            ]  # fmt: skip
    return fields
