"""The fields that say how a text is spoken: seed, sampling, speed, verification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from uslm.generate.sampling import Sampling
from uslm.output.stretch import MAX_SPEED, MIN_SPEED
from uslm.synthesis.seeds import resolve_seed
from uslm_demo.errors import field, fine
from uslm_demo.speaking import read_seed


@dataclass(frozen=True, kw_only=True)
class OptionFields:
    """The fields; `inputs` go to handlers in this order, and to `read_options`."""

    seed: gr.Textbox
    temperature: gr.Slider
    top_k: gr.Slider
    top_p: gr.Slider
    speed: gr.Slider
    verify: gr.Checkbox

    @property
    def inputs(self) -> list[Any]:
        """seed, temperature, top_k, top_p, speed, verify."""
        return [self.seed, self.temperature, self.top_k, self.top_p, self.speed, self.verify]


def seed_field(*, elem_id: str) -> gr.Textbox:
    """A seed, and a dice beside it."""
    with gr.Row(elem_classes="beside"):
        seed = gr.Textbox(
            label="Seed", placeholder="a new one each time", max_length=20, scale=3,
            min_width=140, elem_id=f"{elem_id}-seed",
        )  # fmt: skip
        dice = gr.Button(
            "⚄ Roll the dice", scale=1, min_width=150, size="md", elem_id=f"{elem_id}-dice"
        )
    dice.click(lambda: str(resolve_seed(None)), outputs=seed, queue=False, api_visibility="private")
    return seed


def option_fields(sampling: Sampling, *, elem_id: str) -> OptionFields:
    """Lay the fields out."""
    seed = seed_field(elem_id=elem_id)
    with gr.Accordion("Sampling, speed, verification", open=False):
        temperature = gr.Slider(
            0, 2, sampling.temperature, step=0.05, label="Temperature",
            info="0 always takes the likeliest; higher is livelier and riskier.",
        )  # fmt: skip
        with gr.Row():
            top_k = gr.Slider(0, 200, sampling.top_k, step=1, label="Top k", info="0: all.")
            top_p = gr.Slider(0.05, 1, sampling.top_p, step=0.01, label="Top p", info="1: all.")
        speed = gr.Slider(
            MIN_SPEED, MAX_SPEED, 1.0, step=0.05, label="Speed",
            info="The pitch stays. Other than 1, speech comes in whole segments.",
        )  # fmt: skip
        verify = gr.Checkbox(label="Verify", info="Verify each segment, and regenerate bad ones.")
    return OptionFields(
        seed=seed, temperature=temperature, top_k=top_k, top_p=top_p, speed=speed, verify=verify
    )


def read_options(
    seed: str, temperature: float, top_k: float, top_p: float, speed: float, verify: bool
) -> dict[str, Any]:
    """The arguments of `SpeakOptions`. UserError if the seed is none."""
    return {
        "seed": read_seed(seed),
        "temperature": float(temperature),
        "top_k": int(top_k),
        "top_p": float(top_p),
        "speed": float(speed),
        "verify": verify,
    }


def check_options(seed: str) -> list[dict[str, Any]]:
    """Problem of each of the `inputs`."""
    return [field(lambda: read_seed(seed)), *[fine()] * 5]
