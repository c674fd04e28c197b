"""The page: its tabs, its looks, and how it is served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from uslm_demo.about_tab import about_tab
from uslm_demo.convert_tab import convert_tab
from uslm_demo.engine import Engine
from uslm_demo.speak_tab import speak_tab
from uslm_demo.speaking import Limits
from uslm_demo.tokens_tab import tokens_tab

KEPT_SECONDS = 3600
"""Uploads and results are deleted after this long."""
MODEL = "model"
"""What uses the model waits in one line: two at a time would only get in each other's way."""


def make_page(engine: Engine, limits: Limits, examples: list[Path]) -> gr.Blocks:
    """The page, not yet served; it can also be rendered inside another."""
    page = gr.Blocks(
        title="USLM", analytics_enabled=False, delete_cache=(KEPT_SECONDS // 4, KEPT_SECONDS)
    )
    with page:
        gr.Markdown("# USLM\nSpeak any text in a voice heard for a few seconds.")
        made = gr.State(None, time_to_live=KEPT_SECONDS)
        with gr.Tab("Speak"):
            spoken = speak_tab(engine, limits, made, examples, MODEL)
        with gr.Tab("Convert"):
            converted = convert_tab(engine, limits, made, examples, MODEL)
        with gr.Tab("Tokens"):
            tokens_tab(engine, made, [spoken, converted])
        with gr.Tab("About"):
            about_tab(engine)
    page.queue(max_size=limits.max_waiting, api_open=False)
    return page


def serve(
    page: gr.Blocks,
    limits: Limits,
    *,
    host: str | None = None,
    port: int | None = None,
    share: bool = False,
    wait: bool = True,
) -> str:
    """Serve the page until Ctrl-C, or in the background; returns its address."""
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        share=share,
        prevent_thread_lock=not wait,
        quiet=not wait,
        max_file_size=limits.max_upload,
        state_session_capacity=100,
        theme=_theme(),
        footer_links=["api", "settings"],
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        ssr_mode=False,
    )
    return str(address)


def _theme() -> Any:
    """Fonts of the visitor's own machine: nothing is fetched from elsewhere."""
    return gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
