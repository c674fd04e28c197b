"""The right side of a tab: the player, the files to download, and how it went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from uslm_demo.context import Context
from uslm_demo.results import Files
from uslm_demo.widgets.player import player, playing
from uslm_demo.widgets.sounds import Sound


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
