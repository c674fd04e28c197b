"""The right side of a tab: the player, the files to download, and how it went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from uslm_demo.context import Context, session_of
from uslm_demo.results import Files, unfinished_file
from uslm_demo.unfinished import Unfinished
from uslm_demo.widgets.player import player, playing
from uslm_demo.widgets.sounds import Sound

LAST_SECONDS = 5.0
"""Cancelled work ends within so long: with the samples that were being made."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The components; `outputs` are filled in this order."""

    status: gr.Textbox
    player: gr.HTML
    wav: gr.DownloadButton
    json: gr.DownloadButton

    def follow(self, event: Any) -> None:
        """Once the event has brought files, they can be downloaded."""
        can_be_had = gr.update(interactive=True)
        event.success(
            lambda: (can_be_had, can_be_had), outputs=[self.wav, self.json], queue=False,
            show_progress="hidden", api_visibility="private",
        )  # fmt: skip

    def cancelled_by(
        self, button: gr.Button, work: Sequence[Any], unfinished: Unfinished | None = None
    ) -> None:
        """The button ends the work: nothing sounds any more, and what was made can be had, where
        the work leaves it in `unfinished`."""
        cancel(button, work).then(
            Cancelling(unfinished).on_cancel, outputs=[self.status, self.wav],
            show_progress="hidden", api_visibility="private", concurrency_limit=None,
        )  # fmt: skip

    @property
    def outputs(self) -> list[Any]:
        """status, player, wav, json."""
        return [self.status, self.player, self.wav, self.json]


def outcome(context: Context, label: str, *, elem_id: str) -> Outcome:
    """Lay them out."""
    spoken = player(context.sounds, label, elem_id=f"{elem_id}-player")
    with gr.Row(elem_classes="downloads"):
        wav = download("Download WAV", elem_id=f"{elem_id}-wav")
        json = download("Download JSON", elem_id=f"{elem_id}-json")
    status = gr.Textbox(
        label="Status", lines=2, interactive=False, elem_id=f"{elem_id}-status",
        placeholder="Nothing yet.",
    )  # fmt: skip
    return Outcome(status=status, player=spoken, wav=wav, json=json)


def download(label: str, *, elem_id: str) -> gr.DownloadButton:
    """A button that works as soon as there is something to download."""
    return gr.DownloadButton(label, interactive=False, size="md", min_width=120, elem_id=elem_id)


def beginning(status: str, sound: Sound | None = None) -> list[Any]:
    """Values of `outputs` when the work begins; a sound that is still to come may be heard."""
    value = None if sound is None else playing(sound, autoplay=True)
    nothing = gr.update(value=None, interactive=False)
    return [status, gr.update(value=value), nothing, nothing]


def going_on(status: str) -> list[Any]:
    """Values of `outputs` meanwhile."""
    return [status, gr.skip(), gr.skip(), gr.skip()]


def ending(status: str, files: Files, sound: Sound | None = None) -> list[Any]:
    """Values of `outputs` in the end; the sound where it was not heard yet."""
    shown = gr.skip() if sound is None else gr.update(value=playing(sound, autoplay=True))
    return [status, shown, str(files.wav), str(files.json)]


def ready(path: Any) -> Any:
    """A file that can be downloaded now."""
    return gr.update(value=str(path), interactive=True)


HUSH = "() => { window.dispatchEvent(new CustomEvent('uslm-play')); }"
"""Every player pauses, as another one is said to begin."""


def cancel(button: gr.Button, work: Sequence[Any]) -> Any:
    """The button ends the events in `work` and stops what sounds; returns its event.

    What says so on the page must come after it, through the queue: a status that was already on
    its way would be shown above any that does not wait its turn.
    """
    return button.click(None, js=HUSH, cancels=list(work), queue=False, api_visibility="private")


class Cancelling:
    """Work of Cancel."""

    def __init__(self, unfinished: Unfinished | None) -> None:
        self._unfinished = unfinished

    def on_cancel(self, request: gr.Request) -> Iterator[tuple[Any, Any]]:
        """status, wav."""
        kept = self._unfinished
        sound = None if kept is None else kept.take(session_of(request))
        if sound is not None:
            sound.wait(LAST_SECONDS)
        if sound is None or not sound.data:
            yield "Cancelled.", gr.skip()
            return
        with unfinished_file(sound) as path:
            yield f"Cancelled. {sound.seconds:.1f} s were made.", ready(path)
