"""WavTokenizer's checkpoints."""

from collections.abc import Mapping
from typing import Any

from uslm_tokenizer.codecs.vocos.checkpoint import (
    RULES,
    read_codebook_size,
    read_decoder,
    read_encoder,
)
from uslm_tokenizer.codecs.wav_tokenizer.model import WavTokenizerConfig, one_codebook
from uslm_tokenizer.pretrained.key_mapping import KeyMapping


def read_config(pretrained: Mapping[str, Any]) -> WavTokenizerConfig:
    """From the published yaml's model arguments: feature_extractor, backbone and head."""
    features = pretrained["feature_extractor"]
    encoder = read_encoder(pretrained, tuple(reversed(features["dowmsamples"])))
    codebook_size = read_codebook_size(pretrained, features["vq_bins"])
    return WavTokenizerConfig(
        encoder=encoder,
        quantizer=one_codebook(encoder.dim, codebook_size, features["num_quantizers"]),
        decoder=read_decoder(pretrained, position_net=True),
    )


WAV_TOKENIZER = KeyMapping(
    name="wav_tokenizer",
    systems=("WavTokenizer",),
    model="uslm_tokenizer.codecs.wav_tokenizer.model:WavTokenizer",
    read_config=read_config,
    rules=RULES,
    signature_keys=(
        r"feature_extractor\.encodec\.quantizer\.vq\.layers\.0\._codebook\.embed",
        r"backbone\.norm\.scale\.weight",
        r"backbone\.pos_net\.2\.q\.weight",
        r"head\.out\.weight",
    ),
    source="https://github.com/jishengpeng/WavTokenizer",
    code_licence="MIT",
    weights_licence="not stated",
)
