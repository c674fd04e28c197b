"""MaskGCT's acoustic codec: a file for the encoder, one for codebooks and decoder."""

from collections.abc import Mapping
from typing import Any

from uslm_tokenizer.codecs.maskgct.model import (
    MaskGCTDecoderConfig,
    MaskGCTEncoderConfig,
    codebooks,
)
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.vocos import VocosConfig
from uslm_tokenizer.pretrained.key_mapping import Ignore, KeyMapping, Rename
from uslm_tokenizer.pretrained.shared_rules import (
    convnext_rules,
    factorized_rules,
    weight_norm_rules,
)

SOURCE = "https://github.com/open-mmlab/Amphion"
IN_CHANNELS = 256
"""The pretrained config misspells this key, and the class falls back to its default."""


def read_encoder_config(pretrained: Mapping[str, Any]) -> MaskGCTEncoderConfig:
    """From the arguments of the reference's CodecEncoder."""
    return MaskGCTEncoderConfig(
        dim=pretrained["d_model"],
        strides=tuple(pretrained["up_ratios"]),
        out_dim=pretrained["out_channels"],
        bounded=pretrained.get("use_tanh", False),
    )


def read_decoder_config(pretrained: Mapping[str, Any]) -> MaskGCTDecoderConfig:
    """From the arguments of the reference's CodecDecoder. ConfigError if it is another network."""
    wanted = {"quantizer_type": "fvq", "use_vocos": True, "padding": "same"}
    for name, value in wanted.items():
        if pretrained.get(name, value) != value:
            raise ConfigError(f"{name} must be {value!r}, but is {pretrained[name]!r}")
    dim = pretrained.get("in_channels", IN_CHANNELS)
    return MaskGCTDecoderConfig(
        quantizer=codebooks(
            pretrained["num_quantizers"],
            dim,
            codebook_size=pretrained["codebook_size"],
            code_dim=pretrained["codebook_dim"],
            commitment_weight=pretrained["commitment"],
            codebook_weight=pretrained["codebook_loss_weight"],
            dropout=pretrained["quantizer_dropout"],
            cosine=pretrained["use_l2_normlize"],
        ),
        vocos=VocosConfig(
            in_dim=dim,
            dim=pretrained["vocos_dim"],
            hidden_dim=pretrained["vocos_intermediate_dim"],
            num_layers=pretrained["vocos_num_layers"],
            n_fft=pretrained["n_fft"],
            hop_length=pretrained["hop_size"],
        ),
    )


_LAYER, _UNIT = r"block\.(\d+)", r"block\.(\d+)\.block\.(\d+)\.block\.(\d+)"

ENCODER = KeyMapping(
    name="maskgct_encoder",
    systems=("MaskGCT acoustic codec encoder",),
    model="uslm_tokenizer.codecs.maskgct.model:MaskGCTEncoder",
    read_config=read_encoder_config,
    rules=(
        *weight_norm_rules(_LAYER, r"network.layers.\1"),
        Rename(rf"{_LAYER}\.alpha", r"network.layers.\1.alpha"),
        *weight_norm_rules(rf"{_LAYER}\.block\.(\d+)", r"network.layers.\1.\2"),
        Rename(rf"{_LAYER}\.block\.(\d+)\.alpha", r"network.layers.\1.\2.alpha"),
        *weight_norm_rules(_UNIT, r"network.layers.\1.\2.layers.\3"),
        Rename(rf"{_UNIT}\.alpha", r"network.layers.\1.\2.layers.\3.alpha"),
    ),
    signature_keys=(r"block\.0\.weight_g", rf"{_UNIT}\.alpha"),
    source=SOURCE,
    code_licence="MIT",
    weights_licence="not stated",
)

DECODER = KeyMapping(
    name="maskgct_decoder",
    systems=("MaskGCT acoustic codec quantiser and decoder",),
    model="uslm_tokenizer.codecs.maskgct.model:MaskGCTDecoder",
    read_config=read_decoder_config,
    rules=(
        *factorized_rules(r"quantizer\.quantizers\.(\d+)", r"quantizer.levels.\1"),
        *convnext_rules(r"model\.backbone", "vocos.backbone"),
        Rename(r"model\.head\.out\.(weight|bias)", r"vocos.head.\1"),
        Ignore(r"model\.head\.istft\.window", "a Hann window, computed here"),
    ),
    signature_keys=(r"quantizer\.quantizers\.0\.in_project\..*", r"model\.head\.out\.weight"),
    source=SOURCE,
    code_licence="MIT",
    weights_licence="not stated",
)
