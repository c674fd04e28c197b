"""A player that begins before the sound is complete: no file, no codec, no ffmpeg."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import gradio as gr

from uslm_demo.widgets.sounds import Sound, Sounds

HTML = """
<div class="title">LABEL</div>
<div class="player" role="group" aria-label="LABEL" data-state="empty">
  <button type="button" class="play" disabled aria-label="Play">
    <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M8 5v14l11-7z"/></svg>
  </button>
  <canvas role="slider" tabindex="-1" aria-label="Position" aria-valuemin="0" aria-valuemax="0"
    aria-valuenow="0" aria-valuetext="nothing to play"></canvas>
  <span class="time">0:00</span>
</div>
"""


def player(sounds: Sounds, label: str, *, elem_id: str) -> gr.HTML:
    """A player; its value comes from `playing`."""

    async def take(wanted: dict[str, Any]) -> dict[str, Any]:
        return await sounds.take(wanted)

    return gr.HTML(
        label=label,
        container=True,
        elem_id=elem_id,
        html_template=HTML.replace("LABEL", label),
        css_template=asset("player.css"),
        js_on_load=asset("audio.js") + asset("player.js"),
        server_functions=[take],
        apply_default_css=False,
    )


def playing(sound: Sound, *, autoplay: bool) -> dict[str, Any]:
    """The value of a player: the sound, from its beginning."""
    return {"id": sound.id, "rate": sound.sample_rate, "autoplay": autoplay}


def asset(name: str) -> str:
    """A file beside this one."""
    return files("uslm_demo.widgets").joinpath(name).read_text("utf-8")
