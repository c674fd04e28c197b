"""MaskGCT's semantic codec, which is Vevo's content-style tokenizer too."""

from collections.abc import Mapping
from typing import Any

from uslm_tokenizer.codecs.repcodec.model import RepCodecConfig
from uslm_tokenizer.pretrained.layout import Layout, Rename
from uslm_tokenizer.pretrained.shared_rules import convnext_rules, factorized_rules
from uslm_tokenizer.quantize.factorized import FactorizedQuantizerConfig


def read_config(published: Mapping[str, Any]) -> RepCodecConfig:
    """From the arguments of the reference's RepCodec."""
    return RepCodecConfig(
        dim=published["vocos_dim"],
        hidden_dim=published["vocos_intermediate_dim"],
        num_layers=published["vocos_num_layers"],
        quantizer=FactorizedQuantizerConfig(
            dim=published["hidden_size"],
            code_dim=published["codebook_dim"],
            codebook_size=published["codebook_size"],
            commitment_weight=0.15,
            weight_norm=True,
            count_use=False,
        ),
    )


REPCODEC = Layout(
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
