"""SpeechTokenizer's checkpoints, and DM-Codec's, which are laid out alike."""

from collections.abc import Mapping
from typing import Any

from uslm_tokenizer.codecs.speech_tokenizer.model import SpeechTokenizerConfig
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.activations import Activation
from uslm_tokenizer.nn.seanet import SEANetConfig
from uslm_tokenizer.pretrained.key_mapping import KeyMapping, Rename
from uslm_tokenizer.pretrained.shared_rules import codebook_rules, seanet_rules
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig

ACTIVATIONS: dict[str, Activation] = {"ELU": "elu", "Snake": "snake"}


def read_config(pretrained: Mapping[str, Any]) -> SpeechTokenizerConfig:
    """From the pretrained config.json; its keys for training are passed over."""
    if pretrained["activation"] not in ACTIVATIONS:
        raise ConfigError(
            f"activation must be one of {sorted(ACTIVATIONS)}, but is {pretrained['activation']!r}"
        )
    dim = pretrained["dimension"]
    return SpeechTokenizerConfig(
        sample_rate=pretrained["sample_rate"],
        network=SEANetConfig(
            dim=dim,
            num_filters=pretrained["n_filters"],
            strides=tuple(reversed(pretrained["strides"])),
            num_residual_units=pretrained["n_residual_layers"],
            residual_kernel_size=pretrained["residual_kernel_size"],
            dilation_base=pretrained["dilation_base"],
            num_lstm_layers=pretrained["lstm_layers"],
            bidirectional=pretrained["bidirectional"],
            activation=ACTIVATIONS[pretrained["activation"]],
        ),
        level=VectorQuantizerConfig(
            dim=dim,
            codebook_size=pretrained["codebook_size"],
            dead_share=0.0,
            dead_count=2.0,
            smoothing=1e-5,
        ),
        num_levels=pretrained["n_q"],
        semantic_dim=pretrained["semantic_dimension"],
    )


SPEECH_TOKENIZER = KeyMapping(
    name="speech_tokenizer",
    systems=("SpeechTokenizer", "DM-Codec"),
    model="uslm_tokenizer.codecs.speech_tokenizer.model:SpeechTokenizer",
    read_config=read_config,
    rules=(
        *seanet_rules(r"(encoder|decoder)\.model", r"\g<1>.layers"),
        *codebook_rules(r"quantizer\.vq\.layers\.(\d+)\._codebook", r"quantizer.levels.\g<1>"),
        Rename(r"transform\.(weight|bias)", r"to_semantic.\1"),
    ),
    signature_keys=(
        r"encoder\.model\.0\.conv\.conv\.weight_g",
        r"quantizer\.vq\.layers\.0\._codebook\.embed",
        r"transform\.weight",
    ),
    source="https://github.com/ZhangXInFD/SpeechTokenizer",
    code_licence="Apache-2.0",
    weights_licence="not stated",
)
