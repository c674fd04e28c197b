"""The page: its tabs, and how it is served."""

from __future__ import annotations

import gradio as gr
from starlette.middleware import Middleware

from uslm_demo.context import Context, session_of
from uslm_demo.guard import LocalGuard, is_public
from uslm_demo.limits import Limits
from uslm_demo.tabs.about import about_tab
from uslm_demo.tabs.clone import clone_tab
from uslm_demo.tabs.convert import convert_tab
from uslm_demo.tabs.long import long_tab
from uslm_demo.tabs.tokens import tokens_tab
from uslm_demo.tabs.voices import voices_tab
from uslm_demo.theme import CSS, theme

SPEAK_BY_KEYS = """() => document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  const tab = event.target.closest?.("#clone-text, #long-text")?.id.split("-")[0];
  if (!tab) return;
  event.preventDefault();
  event.target.blur(); // what was typed is sent before it is spoken
  setTimeout(() => document.querySelector(`#${tab}-speak`).click());
})"""
"""Ctrl+Enter, or Command+Enter, in a text speaks it."""
KEPT_SECONDS = 3600
"""Uploads and results are deleted after this long."""
MAX_VISITORS = 32
"""Of more visitors at a time, those who came first lose what is in work."""


def make_page(context: Context) -> gr.Blocks:
    """The page, not yet served; it can also be rendered inside another."""
    page = gr.Blocks(
        title="USLM", analytics_enabled=False, delete_cache=(KEPT_SECONDS // 4, KEPT_SECONDS)
    )
    with page:
        gr.Markdown("# USLM\nSpeak any text in a voice heard for a few seconds.", elem_id="title")
        made = gr.State(None, time_to_live=KEPT_SECONDS)
        with gr.Tab("Clone", id="clone"):
            voice, spoken = clone_tab(context, made)
        with gr.Tab("Long text", id="long"):
            narrator = long_tab(context)
        with gr.Tab("Convert", id="convert"):
            target, converted = convert_tab(context, made)
        with gr.Tab("Voices", id="voices"):
            follow = voices_tab(context, [voice, narrator, target])
        with gr.Tab("Tokens", id="tokens"):
            tokens_tab(context, made, [spoken, converted])
        with gr.Tab("About", id="about"):
            about_tab(context.model)
        follow(page)
        page.load(None, js=SPEAK_BY_KEYS, api_visibility="private")

        def on_leave(request: gr.Request) -> None:
            context.session_voices.leave(session_of(request))

        page.unload(on_leave)
    page.queue(max_size=context.limits.max_waiting, api_open=False)
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
    """Serve the page until Ctrl-C, or in the background; returns its address.

    Where only this machine can reach it, pages of other sites that a browser here shows cannot.
    """
    guards = [] if is_public(host, share) else [Middleware(LocalGuard)]
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        share=share,
        prevent_thread_lock=not wait,
        quiet=not wait,
        max_file_size=limits.max_upload,
        state_session_capacity=MAX_VISITORS,
        theme=theme(),
        css=CSS,
        footer_links=["api", "settings"],
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        ssr_mode=False,
        app_kwargs={"middleware": guards},
    )
    return str(address)
