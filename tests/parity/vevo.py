"""Vevo: the content tokenizer, and the flow from its other tokenizer's units to mel frames."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from uslm.systems.vevo.checkpoint import VEVO_FLOW
from uslm.systems.vevo.flow import FlowRow, FlowSteps, flow_frames
from uslm.systems.vevo.flow_matching import FlowMatching
from uslm_tokenizer.codecs.vevo_content.checkpoint import VEVO_CONTENT
from uslm_tokenizer.codecs.vevo_content.model import VevoContentTokenizer
from uslm_tokenizer.pretrained.golden import GoldenFile
from uslm_tokenizer.pretrained.key_mapping import load_pretrained

SYSTEMS = ("Vevo content tokenizer", "Vevo flow-matching transformer")


@torch.no_grad()
def check(golden: GoldenFile) -> None:
    if golden.system.startswith("Vevo content"):
        check_content_tokenizer(golden)
    else:
        check_flow(golden)


def check_content_tokenizer(golden: GoldenFile) -> None:
    config = VEVO_CONTENT.read_config(golden.config)
    tokenizer = load_pretrained(VEVO_CONTENT, golden.weights, config)
    assert isinstance(tokenizer, VevoContentTokenizer)
    for name, features in golden.inputs.items():
        case = name.removeprefix("features_")
        codes = tokenizer.encode(features)
        results = {
            f"encoder_out_{case}": tokenizer.encoder(features.transpose(1, 2)),
            f"projected_{case}": tokenizer.latents(features),
            f"indices_{case}": codes.transpose(0, 1),
            f"codes_{case}": codes[:, 0],
        }
        if name == passed_through(golden):
            made = tokenizer(features)
            results |= {
                "forward_reconstruction": made.features.transpose(1, 2),
                "forward_quantized": made.quantized.latents,
                "forward_vq_loss": made.quantized.loss.expand(tokenizer.num_codebooks),
                "forward_perplexity": made.perplexity,
            }
        compare(golden, results)


def passed_through(golden: GoldenFile) -> str | None:
    """The input that the whole model was called with: `calls` names it, or its shape tells."""
    if "forward_reconstruction" not in golden.outputs:
        return None
    shape = golden.outputs["forward_reconstruction"].shape
    fitting = [name for name, x in golden.inputs.items() if x.transpose(1, 2).shape == shape]
    calls = " ".join(golden.metadata["calls"])
    named = [name for name in fitting if f"forward({name}" in calls]
    return (named or fitting)[0]


def check_flow(golden: GoldenFile) -> None:
    model = load_pretrained(VEVO_FLOW, golden.weights, VEVO_FLOW.read_config(golden.config))
    assert isinstance(model, FlowMatching)
    inputs = golden.inputs
    mask = inputs["fwd_x_mask"].bool()
    condition = model.condition(content(golden, "fwd"))
    flow = {"fwd_flow": condition, "fwd_flow_no_cond": None}
    for name, received in flow.items():
        if name in golden.outputs:
            ours = model(inputs["fwd_x"], inputs["fwd_time"], received, mask)
            golden.compare(name, ours)
    rows = [
        FlowRow(content=units, prompt=prompt)
        for units, prompt in zip(content(golden, "gen"), inputs["gen_prompt_mel"], strict=True)
    ]
    rescale = re.search(r"rescale_cfg=([\d.]+)", " ".join(golden.metadata["calls"]))
    for name in golden.outputs.keys() - golden.compared:
        how = re.fullmatch(r"gen_mel_(\d+)_steps?_cfg([\d.]+)", name)
        assert how, f"{golden.path.name}: what is {name}?"
        steps = FlowSteps(
            steps=int(how[1]),
            guidance=float(how[2]),
            rescale=float(rescale[1]) if rescale else 0.75,
            whole_batch=True,  # as the published code measures the growth under guidance
        )
        made = flow_frames(model, rows, steps, noise=list(inputs["gen_noise"]))
        golden.compare(name, torch.stack(made))


def content(golden: GoldenFile, call: str) -> Tensor:
    """The units of a call, or the features in their place."""
    names = [name for name in golden.inputs if name.startswith(f"{call}_cond_")]
    return golden.inputs[names[0]]


def compare(golden: GoldenFile, results: Mapping[str, Tensor]) -> None:
    """Compare the outputs that the file has; the harness asks that none of them is left."""
    for name in results.keys() & golden.outputs.keys():
        golden.compare(name, results[name])
