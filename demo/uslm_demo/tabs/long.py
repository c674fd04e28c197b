"""The tab that speaks a long text segment by segment, and segments of it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from uslm.synthesis.long_form_job import LongFormJob
from uslm.voices.prompt import VoicePrompt
from uslm_demo.context import SPEAKING, Context, session_of
from uslm_demo.errors import field, fine, shown
from uslm_demo.model import NUM_SLOTS
from uslm_demo.reading import ReadOptions, prepare, read_out, script_voices
from uslm_demo.results import result_files
from uslm_demo.speaking import check_text
from uslm_demo.tabs.option_fields import OptionFields, check_options, option_fields, read_options
from uslm_demo.tabs.outcome import cancel, download, ready
from uslm_demo.tabs.voice_field import VoiceField, check_voice, voice_field
from uslm_demo.voices import PreparedVoice, VoiceChoice, find_voice
from uslm_demo.widgets.player import player, playing
from uslm_demo.widgets.segments import progress, segments
from uslm_tokenizer.errors import TextError

SAMPLE_TEXT = """\
A long text is cut into segments of about a sentence. Each can be heard, and spoken again, by
itself.

[pause:1] A second of silence was here. Behind this paragraph there is a rest, too.
"""
SCRIPT_HELP = "With it, another voice speaks what follows its name in brackets: `[anna] Hello.`"


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """A text in work, and what it was made of."""

    asked: tuple[Any, ...]
    long_form_job: LongFormJob


def long_tab(context: Context) -> VoiceField:
    """Lay the tab out; returns its voice."""
    with gr.Row():
        with gr.Column(min_width=300):
            asked = _ask(context)
        with gr.Column(min_width=300):
            there = _show(context)
    _connect(_Reading(context), asked, there)
    return asked.voice


@dataclass(frozen=True, kw_only=True)
class _Fields:
    """Fields on the left, for what is asked."""

    text: gr.Textbox
    upload: gr.UploadButton
    voice: VoiceField
    is_script: gr.Checkbox
    options: OptionFields
    sentence: gr.Slider
    paragraph: gr.Slider

    @property
    def inputs(self) -> list[Any]:
        """They go to the handlers in this order."""
        return [
            self.text, *self.voice.inputs, self.is_script, *self.options.inputs, self.sentence,
            self.paragraph,
        ]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Work:
    """Outputs on the right, for what has become of it."""

    start: gr.Button
    cut: gr.Button
    stop: gr.Button
    status: gr.Textbox
    table: Any
    player: gr.HTML
    whole: gr.Audio
    wav: gr.DownloadButton
    json: gr.DownloadButton
    srt: gr.DownloadButton

    @property
    def outputs(self) -> list[Any]:
        """Outputs of the handlers, but for the work itself."""
        return [
            self.status, self.table, self.player, self.whole, self.wav, self.json, self.srt,
        ]  # fmt: skip


def _ask(context: Context) -> _Fields:
    settings, limits = context.model.settings(), context.limits
    text = gr.Textbox(
        SAMPLE_TEXT, label="Text", lines=9, max_lines=20, max_length=limits.max_long_chars,
        elem_id="long-text",
    )  # fmt: skip
    upload = gr.UploadButton(
        "Open a text file", file_types=[".txt", ".md"], size="md", elem_id="long-file"
    )
    voice = voice_field(context, elem_id="long", label="Voice of the narrator", ready=True)
    is_script = gr.Checkbox(
        label="Script with several voices", info=SCRIPT_HELP, elem_id="long-script"
    )
    options = option_fields(settings.sampling, elem_id="long")
    with gr.Accordion("Rests", open=False):
        sentence = gr.Slider(
            0, 2, settings.plan.sentence_seconds, step=0.05,
            label="Behind a sentence, seconds",
        )  # fmt: skip
        paragraph = gr.Slider(
            0, 5, settings.plan.paragraph_seconds, step=0.05,
            label="Behind a paragraph, seconds",
        )  # fmt: skip
    return _Fields(
        text=text, upload=upload, voice=voice, is_script=is_script, options=options,
        sentence=sentence, paragraph=paragraph,
    )  # fmt: skip


def _show(context: Context) -> _Work:
    with gr.Row():
        start = gr.Button("Speak", variant="primary", min_width=120, elem_id="long-speak")
        cut = gr.Button("Preview", min_width=120, elem_id="long-cut")
        stop = gr.Button("Cancel", min_width=120, elem_id="long-cancel")
    status = gr.Textbox(
        label="Status", lines=2, interactive=False, elem_id="long-status",
        placeholder="Nothing yet.",
    )  # fmt: skip
    table = segments("Segments", elem_id="long-segments")
    speech_player = player(context.sounds, "Speech", elem_id="long-player")
    whole = gr.Audio(
        label="Whole text", type="filepath", interactive=False, buttons=[],
        elem_id="long-whole",
    )  # fmt: skip
    with gr.Row(elem_classes="downloads"):
        wav = download("Download WAV", elem_id="long-wav")
        json = download("Download JSON", elem_id="long-json")
        srt = download("Download SRT", elem_id="long-srt")
    return _Work(
        start=start, cut=cut, stop=stop, status=status, table=table, player=speech_player,
        whole=whole, wav=wav, json=json, srt=srt,
    )  # fmt: skip


def _connect(does: _Reading, asked: _Fields, there: _Work) -> None:
    work = gr.State(None, time_to_live=3600)
    asked.upload.upload(
        does.on_file,
        inputs=asked.upload,
        outputs=asked.text,
        show_progress="hidden",
        api_visibility="private",
    )
    working: dict[str, Any] = {
        "concurrency_limit": NUM_SLOTS,
        "concurrency_id": SPEAKING,
        "show_progress": "minimal",
        "show_progress_on": there.status,
        "api_visibility": "private",
    }
    begun = there.start.click(
        does.on_start, inputs=[*asked.inputs, work], outputs=[*there.outputs, work],
        validator=does.check, **working,
    )  # fmt: skip
    was_cut = there.cut.click(
        does.on_cut, inputs=[*asked.inputs, work], outputs=[*there.outputs, work],
        validator=does.check, **working,
    )  # fmt: skip
    again = there.table.redo(does.on_redo, inputs=work, outputs=there.outputs, **working)
    there.table.listen(
        does.on_listen, inputs=work, outputs=there.player, queue=False, show_progress="hidden",
        api_visibility="private",
    )  # fmt: skip

    cancel(there.stop, [begun, was_cut, again]).then(
        does.on_cancel, inputs=work, outputs=[there.status, there.table],
        show_progress="hidden", api_visibility="private", concurrency_limit=None,
    )  # fmt: skip


class _Reading:
    """Work of the buttons."""

    def __init__(self, context: Context) -> None:
        self._context, self._model, self._limits = context, context.model, context.limits

    def check(
        self, request: gr.Request, text: str, kept: str | None, recording: str | None,
        transcript: str | None, prepared: PreparedVoice | None, is_script: bool, seed: str, *_: Any,
    ) -> list[dict[str, Any]]:  # fmt: skip
        names = tuple(self._context.voice_names(request)) if is_script else None
        narrator = (Path(recording).stem,) if recording and not kept else ()
        voices = None if names is None else (*names, *narrator)
        return [
            field(lambda: check_text(self._model, text, self._limits.max_long_chars, voices)),
            *check_voice(self._context, kept, recording, transcript),
            fine(),
            *check_options(seed),
            *[fine()] * 3,
        ]

    @shown
    def on_start(self, request: gr.Request, *inputs: Any) -> Iterator[list[Any]]:
        *asked, work = inputs
        status = "Cutting …" if self._model.is_loaded else "Loading the model …"
        yield [status, gr.skip(), gr.skip(), *_nothing(), gr.skip()]
        work = self.prepared(work, tuple(asked), request)
        for shown_now in self.spoken(work, None):
            yield [*shown_now, work]

    @shown
    def on_cut(self, request: gr.Request, *inputs: Any) -> Iterator[list[Any]]:
        *asked, work = inputs
        work = self.prepared(work, tuple(asked), request)
        for shown_now in self.finished(work):
            yield [*shown_now, work]

    @shown
    def on_redo(self, work: Work | None, event: gr.EventData) -> Iterator[list[Any]]:
        if work is None:
            raise TextError("the text was forgotten after an hour; speak it again")
        yield from self.spoken(work, [int(event.index)])

    @shown
    def on_listen(self, work: Work | None, event: gr.EventData) -> Iterator[Any]:
        if work is None:
            raise TextError("the text was forgotten after an hour; speak it again")
        waveform = work.long_form_job.waveform(int(event.index))
        sound = self._context.sounds.put(waveform, self._model.tts().sample_rate)
        yield gr.update(value=playing(sound, autoplay=True))

    def on_file(self, path: str | None) -> str | Any:
        if path is None:
            return gr.skip()
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            return file.read(self._limits.max_long_chars + 1)

    def on_cancel(self, work: Work | None) -> tuple[str, Any]:
        lines = gr.skip() if work is None else progress(work.long_form_job.lines)
        return "Cancelled. Speak goes on with what is missing.", lines

    def prepared(self, work: Work | None, asked: tuple[Any, ...], request: gr.Request) -> Work:
        """The text in segments; where nothing changed and some are missing, those that were cut."""
        (text, kept, recording, transcript, prepared, is_script), rest = asked[:6], asked[6:]
        key = (text, kept, recording, transcript, is_script, *rest)
        if work is not None and work.asked == key and work.long_form_job.missing:
            return work
        store = self._context.session_voices.store(session_of(request))
        choice = VoiceChoice.asked(kept, recording, transcript)
        narrator = find_voice(self._model, store, choice, prepared)
        voices: dict[str, VoicePrompt] | None = None
        if is_script:
            voices = script_voices(self._model, text, store, narrator)
        wanted = ReadOptions(
            **read_options(*rest[:6]), sentence_seconds=rest[6], paragraph_seconds=rest[7]
        )
        return Work(asked=key, long_form_job=prepare(self._model, text, narrator, voices, wanted))

    def spoken(self, work: Work, indices: list[int] | None) -> Iterator[list[Any]]:
        long_form_job = work.long_form_job
        waiting = list(long_form_job.missing if indices is None else indices)
        again = "" if indices is None else f"Speaking segment {indices[0] + 1} again …"
        begun = progress(long_form_job.lines, waiting[:1])
        sound = self._context.sounds.open(self._model.tts().sample_rate)
        sounding = gr.update(value=playing(sound, autoplay=True))
        try:
            yield [again or _count(long_form_job), begun, sounding, *_nothing()]
            for index in read_out(self._model, long_form_job, indices, on_audio=sound.push):
                waiting.remove(index)
                lines = progress(long_form_job.lines, waiting[:1])
                yield [_count(long_form_job), lines, *[gr.skip()] * 5]
        finally:
            sound.close()
        yield from self.finished(work)

    def finished(self, work: Work, status: str = "") -> Iterator[list[Any]]:
        """Values shown when nothing is spoken any more: all of it, if all is there."""
        long_form_job = work.long_form_job
        lines = progress(long_form_job.lines)
        if long_form_job.missing:
            missing, all_lines = long_form_job.missing, long_form_job.lines
            left = f"{len(missing)} of {len(all_lines)} segments are to be spoken."
            yield [status or left, lines, gr.skip(), *_nothing()]
            return
        speech = long_form_job.speech()
        with result_files(speech) as files:
            named = [files.wav, files.json, files.srt]
            shown = f"{speech.seconds:.1f} s of speech, {len(speech.segments)} segments."
            status = f"{shown} Seed {speech.seed}."
            yield [status, lines, gr.skip(), str(files.wav), *map(ready, named)]


def _count(long_form_job: LongFormJob) -> str:
    lines = long_form_job.lines
    return f"{sum(line.is_done for line in lines)} of {len(lines)} segments done …"


def _nothing() -> list[Any]:
    """No whole text, and no files of it."""
    return [None, *[gr.update(value=None, interactive=False)] * 3]
