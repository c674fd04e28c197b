"""Language-Codec's checkpoint."""

from collections.abc import Mapping
from typing import Any

from uslm_tokenizer.codecs.language_codec.model import LanguageCodecConfig, masked_channels
from uslm_tokenizer.codecs.vocos.checkpoint import (
    RULES,
    read_codebook_size,
    read_decoder,
    read_encoder,
)
from uslm_tokenizer.pretrained.key_mapping import KeyMapping

STRIDES = (2, 4, 5, 8)
NUM_CODEBOOKS = 8
"""Fixed in the reference's code, as are the strides; its bandwidths only select all of them."""


def read_config(pretrained: Mapping[str, Any]) -> LanguageCodecConfig:
    """From the published yaml's model arguments: feature_extractor, backbone and head."""
    widths = pretrained.get("internal_widths_fixed_in_reference_code", {})
    strides = tuple(reversed(widths["ratios"])) if "ratios" in widths else STRIDES
    encoder = read_encoder(pretrained, strides)
    return LanguageCodecConfig(
        encoder=encoder,
        quantizer=masked_channels(encoder.dim, read_codebook_size(pretrained, 1024), NUM_CODEBOOKS),
        decoder=read_decoder(pretrained, position_net=False),
    )


LANGUAGE_CODEC = KeyMapping(
    name="language_codec",
    systems=("Language-Codec",),
    model="uslm_tokenizer.codecs.language_codec.model:LanguageCodec",
    read_config=read_config,
    rules=RULES,
    signature_keys=(
        r"feature_extractor\.encodec\.quantizer\.vq\.layers\.7\._codebook\.embed",
        r"backbone\.norm\.scale\.weight",
        r"head\.out\.weight",
    ),
    source="https://github.com/jishengpeng/Languagecodec",
    code_licence="MIT",
    weights_licence="not stated",
)
