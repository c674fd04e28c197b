"""SpeechTokenizer's checkpoints, and DM-Codec's, which are laid out alike."""

from collections.abc import Mapping
from typing import Any

from uslm_tokenizer.codecs.speech_tokenizer.model import SpeechTokenizerConfig
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.activations import Activation
from uslm_tokenizer.nn.seanet import SEANetConfig
from uslm_tokenizer.pretrained.layout import Layout, Rename
from uslm_tokenizer.pretrained.shared_rules import codebook_rules, seanet_rules
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig

ACTIVATIONS: dict[str, Activation] = {"ELU": "elu", "Snake": "snake"}


def read_config(published: Mapping[str, Any]) -> SpeechTokenizerConfig:
    """From the published config.json; its keys for training are passed over."""
    if published["activation"] not in ACTIVATIONS:
        raise ConfigError(
            f"activation must be one of {sorted(ACTIVATIONS)}, but is {published['activation']!r}"
        )
    dim = published["dimension"]
    return SpeechTokenizerConfig(
        sample_rate=published["sample_rate"],
        network=SEANetConfig(
            dim=dim,
            num_filters=published["n_filters"],
            strides=tuple(reversed(published["strides"])),
            num_residual_units=published["n_residual_layers"],
            residual_kernel_size=published["residual_kernel_size"],
            dilation_base=published["dilation_base"],
            num_lstm_layers=published["lstm_layers"],
            bidirectional=published["bidirectional"],
            activation=ACTIVATIONS[published["activation"]],
        ),
        level=VectorQuantizerConfig(
            dim=dim,
            codebook_size=published["codebook_size"],
            dead_share=0.0,
            dead_count=2.0,
            smoothing=1e-5,
        ),
        num_levels=published["n_q"],
        semantic_dim=published["semantic_dimension"],
    )


SPEECH_TOKENIZER = Layout(
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
