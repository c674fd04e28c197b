"""The original checkpoints of EnCodec, which become the networks of transformers."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from uslm_tokenizer.codecs.transformers.base import TransformersCodecConfig
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.pretrained.key_mapping import KeyMapping, Rename
from uslm_tokenizer.pretrained.shared_rules import weight_norm_rules

MONO: dict[str, object] = {
    "model_type": "encodec",
    "sampling_rate": 24_000,
    "target_bandwidths": [1.5, 3.0, 6.0, 12.0, 24.0],
}
STEREO: dict[str, object] = {
    "model_type": "encodec",
    "sampling_rate": 48_000,
    "target_bandwidths": [3.0, 6.0, 12.0, 24.0],
    "audio_channels": 2,
    "use_causal_conv": False,
    "norm_type": "time_group_norm",
    "normalize": True,
    "chunk_length_s": 1.0,
    "overlap": 0.01,
}


def read_config(
    pretrained: Mapping[str, Any], *, backbone: Mapping[str, object]
) -> TransformersCodecConfig:
    """There is nothing to read: the two pretrained networks are known by their names."""
    if pretrained:
        raise ConfigError(f"EnCodec's pretrained config has no keys, but is {dict(pretrained)}")
    return TransformersCodecConfig(backbone=dict(backbone))


# One layer: a convolution, a transposed one, or one of a residual unit.
LAYER = r"(encoder|decoder)\.model\.(\d+(?:\.block\.\d+|\.shortcut)?)"
CONV = rf"{LAYER}\.(?:conv\.conv|convtr\.convtr)"

RULES = (
    *weight_norm_rules(CONV, r"backbone.\1.layers.\2.conv"),
    Rename(rf"{CONV}\.weight", r"backbone.\1.layers.\2.conv.weight"),
    Rename(rf"{LAYER}\.(?:conv|convtr)\.norm\.(weight|bias)", r"backbone.\1.layers.\2.norm.\3"),
    Rename(rf"{LAYER}\.lstm\.(\w+)", r"backbone.\1.layers.\2.lstm.\3"),
    Rename(
        r"quantizer\.vq\.layers\.(\d+)\._codebook\.(\w+)",
        r"backbone.quantizer.layers.\1.codebook.\2",
    ),
)

_layout = partial(
    KeyMapping,
    model="uslm_tokenizer.codecs.transformers.model:Encodec",
    rules=RULES,
    source="https://github.com/facebookresearch/encodec",
    code_licence="MIT",
    weights_licence="not stated",
)

ENCODEC_24KHZ = _layout(
    name="encodec_24khz",
    systems=("EnCodec 24 kHz",),
    read_config=partial(read_config, backbone=MONO),
    signature_keys=(
        r"encoder\.model\.0\.conv\.conv\.weight_g",
        r"decoder\.model\.15\.conv\.conv\.weight_g",
        r"quantizer\.vq\.layers\.31\._codebook\.embed",
    ),
)
ENCODEC_48KHZ = _layout(
    name="encodec_48khz",
    systems=("EnCodec 48 kHz",),
    read_config=partial(read_config, backbone=STEREO),
    signature_keys=(
        r"encoder\.model\.0\.conv\.norm\.weight",
        r"decoder\.model\.15\.conv\.norm\.weight",
        r"quantizer\.vq\.layers\.15\._codebook\.embed",
    ),
)
