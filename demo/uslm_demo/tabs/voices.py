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


@dataclass(frozen=True, kw_only=True)
class _Shelf:
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
    model = context.model
    gr.Markdown(
        "A voice that was made once can be used in all tabs. "
        + (KEPT if context.shelf.is_shared else LEAVING)
    )
    with gr.Row():
        with gr.Column(min_width=300):
            gr.Markdown("### A new voice")
            name = gr.Textbox(
                label="Name", info="Letters, digits, dots, underscores, hyphens.", max_length=64,
                elem_id="voices-name",
            )  # fmt: skip
            voice = voice_field(context, elem_id="voices", can_be_kept=False)
            consent = gr.Textbox(
                label="Consent", info=CONSENT, max_length=500, elem_id="voices-consent"
            )
            licence = gr.Textbox(
                label="Licence (optional)", max_length=200, elem_id="voices-licence"
            )
            save = gr.Button("Keep this voice", variant="primary", elem_id="voices-save")
        with gr.Column(min_width=300):
            gr.Markdown("### Your voices")
            shelf = _lay_out(context)
    menus = [each.kept for each in fields]
    following = [shelf.chosen, *menus]

    def store_of(request: gr.Request) -> VoiceStore:
        return context.shelf.store(session_of(request))

    def follow(store: VoiceStore, select: str | None, current: Sequence[str]) -> list[Any]:
        """What `following` show now; who uses a voice that is gone uses none."""
        names = store.names()
        shown_name = select if select in names else None
        updates = [
            gr.update(choices=menu(names), value=name if name in names else "") for name in current
        ]
        return [gr.update(choices=names, value=shown_name), *updates]

    def check(
        request: gr.Request, name: str, kept: str | None, recording: str | None,
        transcript: str | None, heard: Any, consent: str, *rest: Any,
    ) -> list[dict[str, Any]]:  # fmt: skip
        return [
            field(lambda: store_of(request).check_free(name.strip())),
            *check_voice(context, "", recording, transcript),
            field(lambda: check_consent(consent)),
            *[fine()] * len(rest),
        ]

    @shown
    def on_save(
        request: gr.Request, name: str, kept: str | None, recording: str | None,
        transcript: str | None,
        heard: Any, consent: str, licence: str, *current: str,
    ) -> Iterator[list[Any]]:  # fmt: skip
        choice = VoiceChoice.asked(None, recording, transcript)
        made = make_voice(model, choice, name, heard=heard, consent=consent, licence=licence)
        store = store_of(request)
        store.save(made)
        yield [f"{made.name!r} is kept.", *follow(store, made.name, current)]

    @shown
    def on_bring(request: gr.Request, path: str | None, *current: str) -> Iterator[list[Any]]:
        store = store_of(request)
        if path is not None:
            brought = import_voice(model, store, path)
            yield [f"{brought.name!r} is kept.", *follow(store, brought.name, current)]

    @shown
    def on_rename(
        request: gr.Request, chosen: str | None, new_name: str, *current: str
    ) -> Iterator[list[Any]]:
        store, new_name = store_of(request), new_name.strip()
        store.rename(_needed(chosen), new_name)
        yield [f"{chosen!r} is now {new_name!r}.", *follow(store, new_name, current)]

    @shown
    def on_delete(request: gr.Request, chosen: str | None, *current: str) -> Iterator[list[Any]]:
        store = store_of(request)
        store.remove(_needed(chosen))
        yield [f"{chosen!r} is deleted.", *follow(store, None, current)]

    @shown
    def on_chosen(request: gr.Request, chosen: str | None) -> Iterator[list[Any]]:
        hidden = gr.update(visible=False)
        buttons = [gr.update(interactive=bool(chosen)) for _ in range(2)]
        delete = gr.update(interactive=bool(chosen), visible=True)
        begun = [*buttons, delete, hidden, hidden, "" if chosen is None else chosen]
        if not chosen:
            yield [NONE, gr.update(value=None), gr.update(value=None, interactive=False), *begun]
            return
        store = store_of(request)
        known = facts(store.load(chosen))
        with tempfile.TemporaryDirectory(prefix="uslm-") as folder:
            path = Path(folder) / store.path(chosen).name
            shutil.copyfile(store.path(chosen), path)
            yield [_list(known), gr.update(value=None), ready(path), *begun]

    @shown
    def on_hear(request: gr.Request, chosen: str | None) -> Iterator[Any]:
        audio = listen(model, store_of(request).load(_needed(chosen)))
        sound = context.sounds.put(audio.waveform, audio.sample_rate)
        yield gr.update(value=playing(sound, autoplay=True))

    quietly: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
    working: dict[str, Any] = {**quietly, "concurrency_limit": 1, "concurrency_id": LISTENING}
    told = [shelf.status, *following]
    save.click(
        on_save, inputs=[name, *voice.inputs, consent, licence, *menus], outputs=told,
        validator=check, show_progress_on=shelf.status, **working,
    )  # fmt: skip
    shelf.bring.upload(on_bring, inputs=[shelf.bring, *menus], outputs=told, **working)
    shelf.rename.click(
        on_rename, inputs=[shelf.chosen, shelf.new_name, *menus], outputs=told, **quietly
    )
    shelf.sure.click(on_delete, inputs=[shelf.chosen, *menus], outputs=told, **quietly)
    shelf.hear.click(on_hear, inputs=shelf.chosen, outputs=shelf.player, **working)
    shelf.chosen.change(
        on_chosen,
        inputs=shelf.chosen,
        outputs=[
            shelf.facts, shelf.player, shelf.export, shelf.hear, shelf.rename, shelf.delete,
            shelf.sure, shelf.keep, shelf.new_name,
        ],
        **quietly,
    )  # fmt: skip
    asked = [shelf.delete, shelf.sure, shelf.keep]
    for button, is_asked in ((shelf.delete, True), (shelf.keep, False)):
        button.click(
            lambda is_asked=is_asked: [gr.update(visible=each) for each in
                                       (not is_asked, is_asked, is_asked)],
            outputs=asked, queue=False, **quietly,
        )  # fmt: skip

    def on_load(request: gr.Request, *current: str) -> list[Any]:
        return follow(store_of(request), None, current)

    def follow_page(page: gr.Blocks) -> None:
        page.load(on_load, inputs=menus, outputs=following, queue=False, **quietly)

    return follow_page


def _lay_out(context: Context) -> _Shelf:
    def button(label: str, name: str, **options: Any) -> gr.Button:
        return gr.Button(label, size="md", min_width=120, elem_id=f"voices-{name}", **options)

    chosen = gr.Dropdown([], value=None, label="Voice", elem_id="voices-chosen")
    known = gr.HTML(NONE, elem_id="voices-facts", container=True, css_template=asset("facts.css"))
    heard = player(context.sounds, "The voice, as its codes hold it", elem_id="voices-player")
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
    return _Shelf(
        chosen=chosen, facts=known, player=heard, hear=hear, export=export, new_name=new_name,
        rename=rename, delete=delete, sure=sure, keep=keep, bring=bring, status=status,
    )  # fmt: skip


def _needed(chosen: str | None) -> str:
    if not chosen:
        raise UserError("choose a voice first")
    return chosen


def _list(known: Sequence[tuple[str, str]]) -> str:
    rows = (f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in known)
    return f"<dl>{''.join(rows)}</dl>"
