"""MaskGCT's semantic codec, which is Vevo's content-style tokenizer too."""

from collections.abc import Mapping
from typing import Any

from uslm_tokenizer.codecs.repcodec.model import RepCodecConfig
from uslm_tokenizer.pretrained.key_mapping import KeyMapping, Rename
from uslm_tokenizer.pretrained.shared_rules import convnext_rules, factorized_rules
from uslm_tokenizer.quantize.factorized import FactorizedQuantizerConfig


def read_config(pretrained: Mapping[str, Any]) -> RepCodecConfig:
    """From the arguments of the reference's RepCodec."""
    return RepCodecConfig(
        dim=pretrained["vocos_dim"],
        hidden_dim=pretrained["vocos_intermediate_dim"],
        num_layers=pretrained["vocos_num_layers"],
        quantizer=FactorizedQuantizerConfig(
            dim=pretrained["hidden_size"],
            code_dim=pretrained["codebook_dim"],
            codebook_size=pretrained["codebook_size"],
            commitment_weight=0.15,
            weight_norm=True,
            count_use=False,
        ),
    )


REPCODEC = KeyMapping(
    name="repcodec",
    systems=("MaskGCT semantic codec",),
    model="uslm_tokenizer.codecs.repcodec.model:RepCodec",
    read_config=read_config,
    rules=(
        *convnext_rules(r"encoder\.0", "encoder"),
        Rename(r"encoder\.1\.(weight|bias)", r"to_latents.\1"),
        *factorized_rules(r"quantizer\.quantizers\.0", "quantizer"),
        *convnext_rules(r"decoder\.0", "decoder"),
        Rename(r"decoder\.1\.(weight|bias)", r"to_features.\1"),
    ),
    signature_keys=(
        r"encoder\.0\.embed\.weight",
        r"decoder\.1\.weight",
        r"quantizer\..*\.in_project\..*",
    ),
    source="https://github.com/open-mmlab/Amphion",
    code_licence="MIT",
    weights_licence="not stated",
)
