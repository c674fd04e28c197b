"""The tab that speaks a text in the voice of a recording."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from uslm.pipeline.seeds import settle_seed
from uslm_demo.engine import Engine
from uslm_demo.errors import shown
from uslm_demo.results import report_table, result_files
from uslm_demo.speaking import Limits, SpeakOptions, read_seed, speak

SAMPLE_TEXT = "Every word of this is new, and yet the voice is one that you have heard."


def speak_tab(
    engine: Engine, limits: Limits, made: gr.State, examples: list[Path], concurrency_id: str
) -> Any:
    """Lay the tab out; returns the event after which `made` holds new speech."""
    sampling = engine.settings().sampling
    with gr.Row():
        with gr.Column():
            text = gr.Textbox(
                SAMPLE_TEXT, label="Text", lines=4, max_lines=12, max_length=limits.max_chars
            )
            recording = gr.Audio(
                label="Voice: a few seconds of one person speaking",
                sources=["upload", "microphone"],
                type="filepath",
                buttons=[],
            )
            transcript = gr.Textbox(
                label="Transcript of the recording (optional)",
                info="Without it, the sounds are recognised.",
                max_length=limits.max_chars,
            )
            if examples:
                gr.Examples([[str(path)] for path in examples], [recording], label="Voices to try")
            with gr.Row(equal_height=True):
                seed = gr.Textbox(
                    label="Seed", info="Empty: a new one each time.", max_length=20, scale=3
                )
                dice = gr.Button("Roll the dice", scale=1, min_width=120)
            with gr.Accordion("Sampling", open=False):
                temperature = gr.Slider(
                    0, 2, sampling.temperature, step=0.05, label="Temperature",
                    info="0 always takes the likeliest; higher is livelier and riskier.",
                )  # fmt: skip
                top_k = gr.Slider(
                    0, 200, sampling.top_k, step=1, label="Top k", info="0 means all."
                )
                top_p = gr.Slider(
                    0.05, 1, sampling.top_p, step=0.01, label="Top p", info="1 means all."
                )
            verify = gr.Checkbox(
                label="Verify", info="Listen to each piece, and draw bad ones again."
            )
            with gr.Row():
                start = gr.Button("Speak", variant="primary")
                cancel = gr.Button("Cancel", variant="stop")
        with gr.Column():
            status = gr.Textbox(label="Status", lines=2, interactive=False)
            audio = gr.Audio(
                label="Speech", type="filepath", interactive=False, buttons=["download"]
            )
            files = gr.File(label="Files", file_count="multiple", interactive=False)
    report = gr.HTML(label="Report", show_label=False)

    @shown
    def on_speak(
        text: str,
        recording: str | None,
        transcript: str,
        seed: str,
        temperature: float,
        top_k: int,
        top_p: float,
        verify: bool,
    ) -> Iterator[tuple[Any, ...]]:
        options = SpeakOptions(
            seed=read_seed(seed),
            temperature=float(temperature),
            top_k=int(top_k),
            top_p=float(top_p),
            verify=verify,
        )
        for progress in speak(engine, text, recording, transcript, options, limits):
            table = report_table(progress.chunks)
            if progress.made is None:
                yield progress.status, None, None, table, None
                continue
            # The page has taken its copies when it asks for more.
            with result_files(progress.made.speech) as paths:
                yield progress.status, str(paths.wav), paths.as_list(), table, progress.made

    spoken = start.click(
        on_speak,
        inputs=[text, recording, transcript, seed, temperature, top_k, top_p, verify],
        outputs=[status, audio, files, report, made],
        api_name="speak",
        show_progress="minimal",
        show_progress_on=status,
        concurrency_limit=1,
        concurrency_id=concurrency_id,
    )
    cancel.click(
        lambda: "Cancelled.",
        outputs=status,
        cancels=[spoken],
        queue=False,
        api_visibility="private",
    )
    dice.click(lambda: str(settle_seed(None)), outputs=seed, queue=False, api_visibility="private")
    return spoken
