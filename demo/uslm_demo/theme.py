"""The looks: fonts of the visitor's own machine, one accent, light and dark."""

from __future__ import annotations

from typing import Any

import gradio as gr

CSS = """
.gradio-container { width: 100%; max-width: 1180px !important; margin: 0 auto !important; }
#title h1 { margin: 0; }
#title p { margin: 0; color: var(--body-text-color-subdued); }
.note p { margin: 2px 0; font-size: var(--text-sm); color: var(--body-text-color-subdued); }
.beside { align-items: center; }
.card table { display: block; overflow-x: auto; max-width: 100%; }
.card td, .card th { min-width: 5em; }
"""


def theme() -> Any:
    """Nothing in it is fetched from elsewhere."""
    return gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
