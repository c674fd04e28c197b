"""The tab where voices are made, heard, renamed, taken along and deleted."""

from __future__ import annotations

import html
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from uslm.voices.store import VoiceStore
from uslm_demo.context import LISTENING, Context, session_of
from uslm_demo.errors import field, fine, shown
from uslm_demo.tabs.outcome import download, ready
from uslm_demo.tabs.voice_field import VoiceField, check_voice, menu, voice_field
from uslm_demo.voices import (
    VoiceChoice,
    check_consent,
    facts,
    import_voice,
    listen,
    make_voice,
)  # fmt: skip
from uslm_demo.widgets.player import asset, player, playing
from uslm_tokenizer.errors import UserError

KEPT = "They are kept on the machine that runs this page, where its commands find them, too."
LEAVING = "**They go when you leave this page:** export what you want to keep, and import it again."
NONE = '<p class="none">No voice is chosen.</p>'
CONSENT = "Whose voice it is, and that they agreed to this use. For example: my own voice."


QUIETLY: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
WORKING: dict[str, Any] = {**QUIETLY, "concurrency_limit": 1, "concurrency_id": LISTENING}


@dataclass(frozen=True, kw_only=True)
class _New:
    """The left side: a voice that is to be made."""

    name: gr.Textbox
    voice: VoiceField
    consent: gr.Textbox
    licence: gr.Textbox
    save: gr.Button

    @property
    def inputs(self) -> list[Any]:
        """They go to the handlers in this order."""
        return [self.name, *self.voice.inputs, self.consent, self.licence]


@dataclass(frozen=True, kw_only=True)
class _KeptVoices:
    """The right side: the voices that are there."""

    chosen: gr.Dropdown
    facts: gr.HTML
    player: gr.HTML
    hear: gr.Button
    export: gr.DownloadButton
    new_name: gr.Textbox
    rename: gr.Button
    delete: gr.Button
    sure: gr.Button
    keep: gr.Button
    bring: gr.UploadButton
    status: gr.Textbox


def voices_tab(context: Context, fields: Sequence[VoiceField]) -> Callable[..., Any]:
    """Lay the tab out; the menus of all `fields` follow it, once what comes back was called."""
    gr.Markdown(
        "A voice that was made once can be used in all tabs. "
        + (KEPT if context.session_voices.is_shared else LEAVING)
    )
    with gr.Row():
        with gr.Column(min_width=300):
            new = _ask(context)
        with gr.Column(min_width=300):
            gr.Markdown("### Your voices")
            kept = _lay_out(context)
    menus, does = [each.kept for each in fields], Keeping(context)
    _connect(does, new, kept, menus)
    _ask_before_deleting(kept)

    def follow_page(page: gr.Blocks) -> None:
        following = [kept.chosen, *menus]
        page.load(does.on_load, inputs=menus, outputs=following, queue=False, **QUIETLY)

    return follow_page


def _ask(context: Context) -> _New:
    gr.Markdown("### A new voice")
    name = gr.Textbox(
        label="Name", info="Letters, digits, dots, underscores, hyphens.", max_length=64,
        elem_id="voices-name",
    )  # fmt: skip
    voice = voice_field(context, elem_id="voices", can_be_kept=False)
    consent = gr.Textbox(label="Consent", info=CONSENT, max_length=500, elem_id="voices-consent")
    licence = gr.Textbox(label="Licence (optional)", max_length=200, elem_id="voices-licence")
    save = gr.Button("Keep this voice", variant="primary", elem_id="voices-save")
    return _New(name=name, voice=voice, consent=consent, licence=licence, save=save)


def _lay_out(context: Context) -> _KeptVoices:
    def button(label: str, name: str, **options: Any) -> gr.Button:
        return gr.Button(label, size="md", min_width=120, elem_id=f"voices-{name}", **options)

    chosen = gr.Dropdown([], value=None, label="Voice", elem_id="voices-chosen")
    known = gr.HTML(NONE, elem_id="voices-facts", container=True, css_template=asset("facts.css"))
    voice_player = player(
        context.sounds, "The voice, as its codes hold it", elem_id="voices-player"
    )
    with gr.Row():
        hear = button("Listen", "listen", interactive=False)
        export = download("Export", elem_id="voices-export")
        delete = button("Delete …", "delete", interactive=False)
        sure = button("Delete for good", "sure", variant="stop", visible=False)
        keep = button("Keep it", "keep", visible=False)
    with gr.Row(elem_classes="beside"):
        new_name = gr.Textbox(
            label="New name", max_length=64, elem_id="voices-new-name", min_width=160
        )
        rename = button("Rename", "rename", interactive=False)
    bring = gr.UploadButton(
        "Import a voice file", file_types=[".safetensors"], size="md", elem_id="voices-import"
    )
    status = gr.Textbox(
        label="Status", interactive=False, placeholder="Nothing yet.", elem_id="voices-status"
    )
    return _KeptVoices(
        chosen=chosen, facts=known, player=voice_player, hear=hear, export=export,
        new_name=new_name, rename=rename, delete=delete, sure=sure, keep=keep, bring=bring,
        status=status,
    )  # fmt: skip


def _connect(does: Keeping, new: _New, kept: _KeptVoices, menus: Sequence[gr.Dropdown]) -> None:
    shown = [kept.status, kept.chosen, *menus]
    new.save.click(
        does.on_save, inputs=[*new.inputs, *menus], outputs=shown,
        validator=does.check, show_progress_on=kept.status, **WORKING,
    )  # fmt: skip
    kept.bring.upload(does.on_bring, inputs=[kept.bring, *menus], outputs=shown, **WORKING)
    kept.rename.click(
        does.on_rename, inputs=[kept.chosen, kept.new_name, *menus], outputs=shown, **QUIETLY
    )
    kept.sure.click(does.on_delete, inputs=[kept.chosen, *menus], outputs=shown, **QUIETLY)
    kept.hear.click(does.on_hear, inputs=kept.chosen, outputs=kept.player, **WORKING)
    kept.chosen.change(
        does.on_chosen,
        inputs=kept.chosen,
        outputs=[
            kept.facts, kept.player, kept.export, kept.hear, kept.rename, kept.delete,
            kept.sure, kept.keep, kept.new_name,
        ],
        **QUIETLY,
    )  # fmt: skip


def _ask_before_deleting(kept: _KeptVoices) -> None:
    asked = [kept.delete, kept.sure, kept.keep]
    for button, is_asked in ((kept.delete, True), (kept.keep, False)):
        button.click(
            lambda is_asked=is_asked: [gr.update(visible=each) for each in
                                       (not is_asked, is_asked, is_asked)],
            outputs=asked, queue=False, **QUIETLY,
        )  # fmt: skip


class Keeping:
    """Work of the buttons."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def store_of(self, request: gr.Request) -> VoiceStore:
        return self._context.session_voices.store(session_of(request))

    def follow(self, store: VoiceStore, select: str | None, current: Sequence[str]) -> list[Any]:
        """Values of `following` now; who uses a voice that is gone uses none.

        A choice that still stands is left alone: the visitor may have made another one while this
        was on its way.
        """
        names = store.names()
        shown_name = select if select in names else None
        offered = menu(names)
        known = {name for _, name in offered}
        updates = [
            gr.update(choices=offered) if name in known else gr.update(choices=offered, value="")
            for name in current
        ]
        return [gr.update(choices=names, value=shown_name), *updates]

    def check(
        self, request: gr.Request, name: str, kept: str | None, recording: str | None,
        transcript: str | None, prepared: Any, consent: str, *rest: Any,
    ) -> list[dict[str, Any]]:  # fmt: skip
        return [
            field(lambda: self.store_of(request).check_free(name.strip())),
            *check_voice(self._context, "", recording, transcript),
            field(lambda: check_consent(consent)),
            *[fine()] * len(rest),
        ]

    @shown
    def on_save(
        self, request: gr.Request, name: str, kept: str | None, recording: str | None,
        transcript: str | None,
        prepared: Any, consent: str, licence: str, *current: str,
    ) -> Iterator[list[Any]]:  # fmt: skip
        choice = VoiceChoice.asked(None, recording, transcript)
        made = make_voice(
            self._context.model, choice, name, prepared=prepared, consent=consent, licence=licence
        )
        store = self.store_of(request)
        store.save(made)
        yield [f"{made.name!r} is kept.", *self.follow(store, made.name, current)]

    @shown
    def on_bring(self, request: gr.Request, path: str | None, *current: str) -> Iterator[list[Any]]:
        store = self.store_of(request)
        if path is not None:
            brought = import_voice(self._context.model, store, path)
            yield [f"{brought.name!r} is kept.", *self.follow(store, brought.name, current)]

    @shown
    def on_rename(
        self, request: gr.Request, chosen: str | None, new_name: str, *current: str
    ) -> Iterator[list[Any]]:
        store, new_name = self.store_of(request), new_name.strip()
        store.rename(_needed(chosen), new_name)
        yield [f"{chosen!r} is now {new_name!r}.", *self.follow(store, new_name, current)]

    @shown
    def on_delete(
        self, request: gr.Request, chosen: str | None, *current: str
    ) -> Iterator[list[Any]]:
        store = self.store_of(request)
        store.remove(_needed(chosen))
        yield [f"{chosen!r} is deleted.", *self.follow(store, None, current)]

    @shown
    def on_chosen(self, request: gr.Request, chosen: str | None) -> Iterator[list[Any]]:
        hidden = gr.update(visible=False)
        buttons = [gr.update(interactive=bool(chosen)) for _ in range(2)]
        delete = gr.update(interactive=bool(chosen), visible=True)
        begun = [*buttons, delete, hidden, hidden, "" if chosen is None else chosen]
        if not chosen:
            yield [NONE, gr.update(value=None), gr.update(value=None, interactive=False), *begun]
            return
        store = self.store_of(request)
        known = facts(store.load(chosen))
        with tempfile.TemporaryDirectory(prefix="uslm-") as folder:
            path = Path(folder) / store.path(chosen).name
            shutil.copyfile(store.path(chosen), path)
            yield [_list(known), gr.update(value=None), ready(path), *begun]

    @shown
    def on_hear(self, request: gr.Request, chosen: str | None) -> Iterator[Any]:
        audio = listen(self._context.model, self.store_of(request).load(_needed(chosen)))
        sound = self._context.sounds.put(audio.waveform, audio.sample_rate)
        yield gr.update(value=playing(sound, autoplay=True))

    def on_load(self, request: gr.Request, *current: str) -> list[Any]:
        return self.follow(self.store_of(request), None, current)


def _needed(chosen: str | None) -> str:
    if not chosen:
        raise UserError("choose a voice first")
    return chosen


def _list(known: Sequence[tuple[str, str]]) -> str:
    rows = (f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in known)
    return f"<dl>{''.join(rows)}</dl>"
