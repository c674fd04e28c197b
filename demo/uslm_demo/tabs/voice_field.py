"""The group of fields that ask for a voice: a kept one, or a recording and what is said in it."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from uslm.voices.stock import DEFAULT_STOCK_VOICE, stock_voices
from uslm_demo.context import LISTENING, Context, session_of
from uslm_demo.errors import EXPECTED, field, fine
from uslm_demo.voices import PreparedVoice, VoiceChoice, check_recording, describe, find_voice

RECORDING = "A recording of yours"
ADVICE = "Three to ten seconds of one person speaking, without music or echo."


@dataclass(frozen=True, kw_only=True)
class VoiceField:
    """The fields; `inputs` go to handlers in this order."""

    kept: gr.Dropdown
    """Empty: the recording."""
    recording: gr.Audio
    transcript: gr.Textbox
    prepared: gr.State
    """A `PreparedVoice`, where the voice was made already."""

    @property
    def inputs(self) -> list[Any]:
        """kept, recording, transcript, prepared."""
        return [self.kept, self.recording, self.transcript, self.prepared]


def voice_field(
    context: Context,
    *,
    elem_id: str,
    label: str = "Voice",
    has_transcript: bool = True,
    can_be_kept: bool = True,
    ready: bool = False,
) -> VoiceField:
    """Lay the fields out; what a recording sounds like to the model is said below it.

    Where it is `ready` a stock voice is chosen already, and nothing needs to be uploaded.
    """
    kept = gr.Dropdown(
        menu(
            context.session_voices.store(None).names() if context.session_voices.is_shared else []
        ),
        value=DEFAULT_STOCK_VOICE if ready else "",
        label=label,
        info=f"To clone a voice, choose “{RECORDING}”." if ready else None,
        elem_id=f"{elem_id}-kept",
        visible=can_be_kept,
    )
    recording = gr.Audio(
        label="Recording",
        sources=["upload", "microphone"],
        type="filepath",
        buttons=[],
        visible=not ready,
        elem_id=f"{elem_id}-recording",
    )
    transcript = gr.Textbox(
        label="Transcript (optional)",
        info="What is said in the recording. Without it, its sounds are recognised.",
        max_length=context.limits.max_chars,
        elem_id=f"{elem_id}-transcript",
        visible=has_transcript and not ready,
    )
    note = gr.Markdown(ADVICE, elem_classes="note", elem_id=f"{elem_id}-note")
    fields = VoiceField(
        kept=kept, recording=recording, transcript=transcript, prepared=gr.State(None)
    )
    _hide_while_kept(context, fields, elem_id, has_transcript)
    _listen_when_changed(context, fields, note)
    return fields


def _hide_while_kept(
    context: Context, fields: VoiceField, elem_id: str, has_transcript: bool
) -> None:
    """A kept voice needs no recording."""
    hidden: list[Any] = [fields.recording, fields.transcript]
    if context.examples:
        examples = gr.Examples(
            [[str(path)] for path in context.examples],
            [fields.recording],
            label="Recordings to try",
            elem_id=f"{elem_id}-examples",
            api_visibility="private",
        )
        examples.dataset.visible = not fields.kept.value
        hidden.append(examples.dataset)

    def on_kept(name: str) -> list[Any]:
        shown = [not name, has_transcript and not name, not name]
        return [gr.update(visible=each) for each in shown[: len(hidden)]]

    fields.kept.change(
        on_kept,
        inputs=fields.kept,
        outputs=hidden,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )


def _listen_when_changed(context: Context, fields: VoiceField, note: gr.Markdown) -> None:
    """Say what a recording sounds like to the model, and remember the voice."""

    def on_change(
        kept: str | None,
        recording: str | None,
        transcript: str | None,
        prepared: PreparedVoice | None,
        request: gr.Request,
    ) -> Iterator[tuple[Any, Any]]:
        choice = VoiceChoice.asked(kept, recording, transcript)
        if prepared is not None and prepared.choice == choice:
            yield gr.skip(), gr.skip()
        elif not choice.kept and not recording:
            yield ADVICE, None
        else:
            yield "Listening …", None
            try:
                store = context.session_voices.store(session_of(request))
                voice = find_voice(context.model, store, choice)
            except EXPECTED as error:
                yield f"**Problem:** {html.escape(str(error))}", None
            else:
                yield describe(voice), PreparedVoice(choice=choice, voice=voice)

    changes = [fields.kept.change, fields.recording.change]
    gr.on(
        [*changes, fields.transcript.blur, fields.transcript.submit],
        on_change,
        inputs=fields.inputs,
        outputs=[note, fields.prepared],
        show_progress="hidden",
        trigger_mode="always_last",
        concurrency_limit=1,
        concurrency_id=LISTENING,
        api_visibility="private",
    )


def menu(names: list[str]) -> list[tuple[str, str]]:
    """Choices of the first field: kept voices first, those that come with the package, a
    recording."""
    stock = [
        (f"{name} ({voice.description})", name)
        for name, voice in stock_voices().items()
        if name not in names
    ]
    return [*((name, name) for name in names), *stock, (RECORDING, "")]


def check_voice(
    context: Context, kept: str | None, recording: str | None, transcript: str | None
) -> list[dict[str, Any]]:
    """Problem of each of the `inputs`."""
    choice = VoiceChoice.asked(kept, recording, transcript)
    if choice.kept:
        return [fine()] * 4
    frontend = context.model.frontend()
    said = field(lambda: frontend(choice.transcript)) if choice.transcript else fine()
    return [fine(), field(lambda: check_recording(recording)), said, fine()]
