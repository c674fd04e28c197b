"""A view of tokens: tracks on one time axis, to look at, to walk through and to hear."""

from __future__ import annotations

from typing import Any

import gradio as gr

from uslm_demo.widgets.player import asset
from uslm_demo.widgets.sounds import Sounds

HTML = """
<div class="tokens" role="group" aria-label="LABEL" data-state="empty">
  <div class="bar">
    <button type="button" data-do="play" disabled>Play</button>
    <button type="button" data-do="in" disabled aria-label="Zoom in">+</button>
    <button type="button" data-do="out" disabled aria-label="Zoom out">&minus;</button>
    <button type="button" data-do="fit" disabled>Fit</button>
    <output class="readout" aria-live="polite"></output>
  </div>
  <div class="body" hidden>
    <div class="labels" aria-hidden="true"></div>
    <div class="scroll"><canvas tabindex="0" role="application"></canvas></div>
  </div>
  <p class="empty">EMPTY</p>
</div>
"""


def token_view(sounds: Sounds, label: str, empty: str, *, elem_id: str) -> gr.HTML:
    """A view; its value comes from `uslm_demo.tokens.view`, None shows the words of `empty`."""

    async def take(wanted: dict[str, Any]) -> dict[str, Any]:
        return await sounds.take(wanted)

    return gr.HTML(
        label=label,
        elem_id=elem_id,
        container=True,
        html_template=HTML.replace("LABEL", label).replace("EMPTY", empty),
        css_template=asset("token_view.css"),
        js_on_load=asset("audio.js") + asset("token_tracks.js") + asset("token_view.js"),
        server_functions=[take],
        apply_default_css=False,
    )
