"""Vevo: the content tokenizer, and the flow from its other tokenizer's units to mel frames."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from uslm_tokenizer.published.golden import GoldenFile
from uslm_tokenizer.published.layout import load_published
from uslm_tokenizer.published.vevo_content import VEVO_CONTENT
from uslm_tokenizer.semantic.vevo_content import VevoContentTokenizer

SYSTEMS = ("Vevo content tokenizer",)


def check(golden: GoldenFile) -> None:
    check_content_tokenizer(golden)


@torch.no_grad()
def check_content_tokenizer(golden: GoldenFile) -> None:
    config = VEVO_CONTENT.read_config(golden.config)
    tokenizer = load_published(VEVO_CONTENT, golden.weights, config)
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


def compare(golden: GoldenFile, results: Mapping[str, Tensor]) -> None:
    """Compare the outputs that the file has; the harness asks that none of them is left."""
    for name in results.keys() & golden.outputs.keys():
        golden.compare(name, results[name])
