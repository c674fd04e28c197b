"""The tab that speaks a text in the voice of a recording."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from uslm_demo.context import SPEAKING, Context, session_of
from uslm_demo.errors import field, shown
from uslm_demo.model import NUM_SLOTS
from uslm_demo.results import result_files
from uslm_demo.speaking import SpeakOptions, check_text, speak
from uslm_demo.tabs.option_fields import check_options, option_fields, read_options
from uslm_demo.tabs.outcome import beginning, ending, going_on, outcome
from uslm_demo.tabs.voice_field import VoiceField, check_voice, voice_field
from uslm_demo.voices import PreparedVoice, VoiceChoice, find_voice
from uslm_demo.widgets.segments import report, segments

SAMPLE_TEXT = "Every word of this is new, and yet the voice is one that you have heard."


def clone_tab(context: Context, made: gr.State) -> tuple[VoiceField, Any]:
    """Lay the tab out; returns its voice, and the event after which `made` holds new speech."""
    model, limits = context.model, context.limits
    gr.Markdown(model.summary(), elem_classes="note", elem_id="clone-summary")
    with gr.Row():
        with gr.Column(min_width=300):
            text = gr.Textbox(
                SAMPLE_TEXT, label="Text", lines=4, max_lines=12, max_length=limits.max_chars,
                elem_id="clone-text",
            )  # fmt: skip
            with gr.Row():
                start = gr.Button("Speak", variant="primary", min_width=120, elem_id="clone-speak")
                stop = gr.Button("Cancel", min_width=120, elem_id="clone-cancel")
            voice = voice_field(context, elem_id="clone", ready=True)
            options = option_fields(model.settings().sampling, elem_id="clone")
        with gr.Column(min_width=300):
            result = outcome(context, "Speech", elem_id="clone")
            done = segments("Segments", elem_id="clone-segments")
    does = _Cloning(context)
    spoken = start.click(
        does.on_speak,
        inputs=[text, *voice.inputs, *options.inputs],
        outputs=[*result.outputs, done, made],
        validator=does.check,
        api_name="speak",
        show_progress="minimal",
        show_progress_on=result.status,
        concurrency_limit=NUM_SLOTS,
        concurrency_id=SPEAKING,
    )
    result.follow(spoken)
    result.cancelled_by(stop, [spoken], context.unfinished)
    return voice, spoken


class _Cloning:
    """Work of the button."""

    def __init__(self, context: Context) -> None:
        self._context, self._model, self._limits = context, context.model, context.limits

    def check(
        self, text: str, kept: str | None, recording: str | None, transcript: str | None,
        prepared: PreparedVoice | None, seed: str, *_: Any,
    ) -> list[dict[str, Any]]:  # fmt: skip
        return [
            field(lambda: check_text(self._model, text, self._limits.max_chars)),
            *check_voice(self._context, kept, recording, transcript),
            *check_options(seed),
        ]

    @shown
    def on_speak(
        self, text: str, kept: str | None, recording: str | None, transcript: str | None,
        prepared: PreparedVoice | None, seed: str, temperature: float, top_k: float, top_p: float,
        speed: float, verify: bool, request: gr.Request,
    ) -> Iterator[list[Any]]:  # fmt: skip
        choice = VoiceChoice.asked(kept, recording, transcript)
        wanted = read_options(seed, temperature, top_k, top_p, speed, verify)
        if not self._model.is_loaded:
            yield [*beginning("Loading the model …"), "", None]
        sound = self._context.sounds.open(self._model.tts().sample_rate)
        session = session_of(request)
        self._context.unfinished.begin(session, sound)
        try:
            yield [*beginning("Listening to the voice …", sound), "", None]
            store = self._context.session_voices.store(session)
            spoken = find_voice(self._model, store, choice, prepared)
            steps = speak(self._model, text, spoken, SpeakOptions(**wanted), on_audio=sound.push)
            for step in steps:
                table = report(step.segments, step.num_segments)
                if step.made is None:
                    yield [*going_on(step.status), table, gr.skip()]
                    continue
                sound.close()
                self._context.unfinished.finish(session, sound)
                # The page has taken its copies when it asks for more.
                with result_files(step.made.speech) as files:
                    yield [*ending(step.status, files), table, step.made]
        finally:
            sound.close()
