"""The tab that says what this is, whose it is, and what it must not be used for."""

from __future__ import annotations

from importlib.resources import files

import gradio as gr

from uslm_demo.model import Model


def about_tab(model: Model) -> None:
    """Lay the tab out."""
    gr.Markdown(files("uslm_demo").joinpath("about.md").read_text("utf-8"))
    with gr.Accordion(f"Model card of {model.settings().name}", open=True):
        gr.Markdown(model.card() or "This model came without a card.", elem_classes="card")
