"""Vevo's vocoder: Vocos over mel frames."""

from collections.abc import Mapping
from typing import Any

from uslm_tokenizer.codecs.vevo_vocoder.model import VevoVocoderConfig
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.vocos import VocosConfig
from uslm_tokenizer.pretrained.layout import Ignore, Layout, Rename
from uslm_tokenizer.pretrained.shared_rules import convnext_rules


def read_config(published: Mapping[str, Any]) -> VevoVocoderConfig:
    """From the arguments of the reference's Vocos. ConfigError if it pads another way."""
    if published["padding"] != "same":
        raise ConfigError(f"padding must be 'same', but is {published['padding']!r}")
    return VevoVocoderConfig(
        vocos=VocosConfig(
            in_dim=published["input_channels"],
            dim=published["dim"],
            hidden_dim=published["intermediate_dim"],
            num_layers=published["num_layers"],
            n_fft=published["n_fft"],
            hop_length=published["hop_size"],
        )
    )


VEVO_VOCODER = Layout(
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
