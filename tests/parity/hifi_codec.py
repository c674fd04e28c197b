"""HiFi-Codec: the group-residual quantizer alone, and the whole codec."""

from __future__ import annotations

import re
from dataclasses import replace

import torch
from torch import Tensor

from uslm_tokenizer.codecs.hifi_codec.checkpoint import HIFI_CODEC, quantizer_rules, read_level
from uslm_tokenizer.codecs.hifi_codec.model import HiFiCodec
from uslm_tokenizer.pretrained.golden import GoldenFile
from uslm_tokenizer.pretrained.key_mapping import load_pretrained
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig

SYSTEMS = ("HiFi-Codec",)


def check(golden: GoldenFile) -> None:
    with torch.no_grad():
        if any(name.startswith("encoder.") for name in golden.weights):
            check_codec(golden)
        else:
            check_quantizer(golden)


def check_codec(golden: GoldenFile) -> None:
    config = replace(HIFI_CODEC.read_config(golden.config), fill_last_frame=False)
    model = load_pretrained(HIFI_CODEC, golden.weights, config)
    assert isinstance(model, HiFiCodec)
    for name in golden.outputs:
        if match := re.fullmatch(r"encoder_out_(\w+)", name):
            ours = model.encoder(golden.inputs[f"wav_{match[1]}"][:, None])
        elif match := re.fullmatch(r"codes_(\w+)", name):
            ours = model.encode(golden.inputs[f"wav_{match[1]}"][:, None]).transpose(1, 2)
        else:
            match = re.fullmatch(r"recon_(\w+)", name)
            assert match, f"unknown output {name}"
            ours = model.decode(codes(golden, match[1]).transpose(1, 2))
        golden.compare(name, ours)


def check_quantizer(golden: GoldenFile) -> None:
    quantizer = load_quantizer(golden)
    for name in golden.outputs:
        if match := re.fullmatch(r"embed_(\w+)", name):
            ours = quantizer.decode(codes(golden, match[1]).transpose(1, 2))
        else:
            match = re.fullmatch(r"(codes|quantized|loss)_(\w+)", name)
            assert match, f"unknown output {name}"
            quantized = quantizer(golden.inputs[f"latent_{match[2]}"])
            results = {
                "codes": quantized.codes.transpose(1, 2),
                "quantized": quantized.latents,
                "loss": quantized.loss,
            }
            ours = results[match[1]]
        golden.compare(name, ours)


def load_quantizer(golden: GoldenFile) -> ResidualQuantizer:
    first = golden.weights["quantizer_modules.0.embedding.weight"]
    level = read_level(golden.config, first.shape[1] * golden.config["n_code_groups"])
    quantizer = ResidualQuantizer(ResidualQuantizerConfig(levels=(level, level), dropout=0.0))
    state = {}
    for name, tensor in golden.weights.items():
        for rule in quantizer_rules("", ""):
            if match := re.fullmatch(rule.pattern, name):
                state[match.expand(rule.replacement)] = tensor
    quantizer.load_state_dict(state)
    return quantizer.eval()


def codes(golden: GoldenFile, name: str) -> Tensor:
    """Codes [b t k] of that name, given or found; "batch2" stands for "codes_batch2"."""
    for tensors in (golden.inputs, golden.outputs):
        for known in (name, f"codes_{name}"):
            if known.startswith("codes_") and known in tensors:
                return tensors[known]
    raise AssertionError(f"{golden.path.name}: no codes {name}")
