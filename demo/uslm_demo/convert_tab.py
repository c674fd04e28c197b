"""The tab that says what one recording says in the voice of another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from uslm_demo.engine import Engine
from uslm_demo.errors import shown
from uslm_demo.results import result_files
from uslm_demo.speaking import Limits, convert


def convert_tab(
    engine: Engine, limits: Limits, made: gr.State, examples: list[Path], concurrency_id: str
) -> Any:
    """Lay the tab out; returns the event after which `made` holds new speech."""
    with gr.Row():
        with gr.Column():
            source = gr.Audio(
                label=f"What to say: up to {limits.max_source_seconds:g} s of speech",
                sources=["upload", "microphone"],
                type="filepath",
                buttons=[],
            )
            recording = gr.Audio(
                label="Voice: a few seconds of one person speaking",
                sources=["upload", "microphone"],
                type="filepath",
                buttons=[],
            )
            if examples:
                gr.Examples([[str(path)] for path in examples], [recording], label="Voices to try")
            start = gr.Button("Convert", variant="primary")
        with gr.Column():
            status = gr.Textbox(label="Status", lines=2, interactive=False)
            audio = gr.Audio(
                label="Converted speech", type="filepath", interactive=False, buttons=["download"]
            )
            files = gr.File(label="Files", file_count="multiple", interactive=False)

    @shown
    def on_convert(source: str | None, recording: str | None) -> Iterator[tuple[Any, ...]]:
        for progress in convert(engine, source, recording, limits=limits):
            if progress.made is None:
                yield progress.status, None, None, None
                continue
            with result_files(progress.made.speech) as paths:
                yield progress.status, str(paths.wav), paths.as_list(), progress.made

    return start.click(
        on_convert,
        inputs=[source, recording],
        outputs=[status, audio, files, made],
        api_name="convert",
        show_progress="minimal",
        show_progress_on=status,
        concurrency_limit=1,
        concurrency_id=concurrency_id,
    )
