"""WavTokenizer and Language-Codec: encoder, codes, features, backbone, sound."""

from __future__ import annotations

import re
from typing import cast

import torch
from torch import Tensor

from uslm_tokenizer.codecs.vocos.model import VocosCodec
from uslm_tokenizer.pretrained.golden import GoldenFile
from uslm_tokenizer.pretrained.key_mapping import load_pretrained
from uslm_tokenizer.pretrained.mappings import key_mapping_of_system
from uslm_tokenizer.registry import PRETRAINED

SYSTEMS = ("WavTokenizer", "Language-Codec")


def check(golden: GoldenFile) -> None:
    key_mapping = key_mapping_of_system(golden.system, PRETRAINED.key_mappings)
    codec = load_pretrained(key_mapping, golden.weights, key_mapping.read_config(golden.config))
    assert isinstance(codec, VocosCodec)
    with torch.no_grad():
        for name in golden.outputs:
            golden.compare(name, output(golden, codec, name))


def output(golden: GoldenFile, codec: VocosCodec, name: str) -> Tensor:
    """What the name says, from the inputs or the reference's own outputs that it names.

    The file's `calls` tell which: sound is made from the reference's features, so that a
    difference shows where it arises.
    """
    if match := re.fullmatch(r"encoder_out_(\w+)", name):
        return cast(Tensor, codec.encoder(waveform(golden, match[1])))
    if match := re.fullmatch(r"codes_to_features_(\w+)", name):
        return codec.quantizer.decode(codes(golden, match[1]))
    if match := re.fullmatch(r"codes_(\w+)", name):
        return codec.encode(waveform(golden, match[1])).transpose(0, 1)
    if match := re.fullmatch(r"features_(\w+)", name):
        return codec.quantizer.decode(codec.encode(waveform(golden, match[1])))
    if match := re.fullmatch(r"backbone_out_(\w+?)(?:_bandwidth_id_(\d+))?", name):
        latents = features(golden, match[1])
        condition = codec.condition(latents, int(match[2] or 0))
        return codec.decoder.hidden(latents, condition)
    if match := re.fullmatch(r"recon_(?:codes_)?(\w+?)(?:_bandwidth_id_(\d+))?", name):
        return codec.synthesize(features(golden, match[1]), int(match[2] or 0))[:, 0]
    raise AssertionError(f"{golden.path.name}: no rule for the output {name}")


def waveform(golden: GoldenFile, which: str) -> Tensor:
    return golden.inputs[f"wav_{which}"][:, None]


def codes(golden: GoldenFile, which: str) -> Tensor:
    """Codes that were given, or that the reference found; [k, b, t] there."""
    found = golden.inputs.get(f"codes_{which}", golden.outputs.get(f"codes_{which}"))
    assert found is not None, f"{golden.path.name}: no codes {which}"
    return found.transpose(0, 1)


def features(golden: GoldenFile, which: str) -> Tensor:
    """The reference's features of a recording, or of codes that were given."""
    for name in (f"features_{which}", f"codes_to_features_{which}"):
        if name in golden.outputs:
            return golden.outputs[name]
    raise AssertionError(f"{golden.path.name}: no features {which}")
