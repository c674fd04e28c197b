"""The tab that says what one recording says in the voice of another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from uslm.synthesis.protocols import Imitate
from uslm_demo.context import LISTENING, Context, session_of
from uslm_demo.errors import field, fine, shown
from uslm_demo.results import result_files
from uslm_demo.speaking import convert, read_seed
from uslm_demo.tabs.option_fields import seed_field
from uslm_demo.tabs.outcome import beginning, ending, going_on, outcome
from uslm_demo.tabs.voice_field import VoiceField, check_voice, voice_field
from uslm_demo.voices import PreparedVoice, VoiceChoice, find_voice, needed, read

IMITATED: dict[Imitate, str] = {
    "timbre": "How it sounds",
    "style": "Its manner of speaking",
    "both": "Both",
}


def convert_tab(context: Context, made: gr.State) -> tuple[VoiceField, Any]:
    """Lay the tab out; returns its voice, and the event after which `made` holds new speech."""
    model, limits = context.model, context.limits
    most = limits.max_source_seconds
    with gr.Row():
        with gr.Column(min_width=300):
            source = gr.Audio(
                label=f"What to say: up to {most:g} s of speech",
                sources=["upload", "microphone"],
                type="filepath",
                buttons=[],
                elem_id="convert-source",
            )
            voice = voice_field(context, elem_id="convert", has_transcript=False)
            imitates = model.imitates() or ("timbre",)
            imitate = gr.Radio(
                [(IMITATED[each], each) for each in imitates], value=imitates[0],
                label="What is taken from the voice", visible=len(imitates) > 1,
                elem_id="convert-imitate",
            )  # fmt: skip
            seed = seed_field(elem_id="convert")
        with gr.Column(min_width=300):
            with gr.Row():
                start = gr.Button(
                    "Convert", variant="primary", min_width=120, elem_id="convert-start"
                )
                stop = gr.Button("Cancel", min_width=120, elem_id="convert-cancel")
            result = outcome(context, "Converted speech", elem_id="convert")
    does = _Converting(context)
    converted = start.click(
        does.on_convert,
        inputs=[source, *voice.inputs, seed, imitate],
        outputs=[*result.outputs, made],
        validator=does.check,
        api_name="convert",
        show_progress="minimal",
        show_progress_on=result.status,
        concurrency_limit=1,
        concurrency_id=LISTENING,
    )
    result.follow(converted)
    result.cancelled_by(stop, [converted])
    return voice, converted


class _Converting:
    """Work of the button."""

    def __init__(self, context: Context) -> None:
        self._context, self._model, self._limits = context, context.model, context.limits

    def check(
        self, source: str | None, kept: str | None, recording: str | None,
        transcript: str | None,
        prepared: PreparedVoice | None, seed: str, imitate: Imitate,
    ) -> list[dict[str, Any]]:  # fmt: skip
        return [
            field(
                lambda: read(
                    needed(source, "a recording to convert"), self._limits.max_source_seconds
                )
            ),
            *check_voice(self._context, kept, recording, transcript),
            field(lambda: read_seed(seed)),
            fine(),
        ]

    @shown
    def on_convert(
        self, source: str | None, kept: str | None, recording: str | None,
        transcript: str | None,
        prepared: PreparedVoice | None, seed: str, imitate: Imitate, request: gr.Request,
    ) -> Iterator[list[Any]]:  # fmt: skip
        status = "Listening to the voice …" if self._model.is_loaded else "Loading the model …"
        yield [*beginning(status), None]
        store = self._context.session_voices.store(session_of(request))
        choice = VoiceChoice.asked(kept, recording, transcript)
        target = find_voice(self._model, store, choice, prepared)
        for step in convert(self._model, source, target, read_seed(seed), self._limits, imitate):
            if step.made is None:
                yield [*going_on(step.status), gr.skip()]
                continue
            speech = step.made.speech
            sound = self._context.sounds.put(speech.waveform, speech.sample_rate)
            with result_files(speech) as files:
                yield [*ending(step.status, files, sound), step.made]
