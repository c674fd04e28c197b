"""Vevo's vocoder: Vocos over mel frames."""

from collections.abc import Mapping
from typing import Any

from uslm_tokenizer.codecs.vevo_vocoder.model import VevoVocoderConfig
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.vocos import VocosConfig
from uslm_tokenizer.pretrained.key_mapping import Ignore, KeyMapping, Rename
from uslm_tokenizer.pretrained.shared_rules import convnext_rules


def read_config(pretrained: Mapping[str, Any]) -> VevoVocoderConfig:
    """From the arguments of the reference's Vocos. ConfigError if it pads another way."""
    if pretrained["padding"] != "same":
        raise ConfigError(f"padding must be 'same', but is {pretrained['padding']!r}")
    return VevoVocoderConfig(
        vocos=VocosConfig(
            in_dim=pretrained["input_channels"],
            dim=pretrained["dim"],
            hidden_dim=pretrained["intermediate_dim"],
            num_layers=pretrained["num_layers"],
            n_fft=pretrained["n_fft"],
            hop_length=pretrained["hop_size"],
        )
    )


VEVO_VOCODER = KeyMapping(
    name="vevo_vocoder",
    systems=("Vevo vocoder",),
    model="uslm_tokenizer.codecs.vevo_vocoder.model:VevoVocoder",
    read_config=read_config,
    rules=(
        *convnext_rules("backbone", "vocos.backbone"),
        Rename(r"head\.out\.(weight|bias)", r"vocos.head.\1"),
        Ignore(r"head\.istft\.window", "a Hann window, computed here"),
    ),
    signature_keys=(r"backbone\.embed\.weight", r"backbone\.norm\.weight", r"head\.out\.weight"),
    source="https://github.com/open-mmlab/Amphion",
    code_licence="MIT",
    weights_licence="not stated",
)
