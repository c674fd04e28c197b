"""Rules that the checkpoints of WavTokenizer and Language-Codec share."""

from collections.abc import Mapping
from typing import Any

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.seanet import SEANetConfig
from uslm_tokenizer.nn.vocos import VocosConfig
from uslm_tokenizer.pretrained.key_mapping import Ignore, Rename, Rule
from uslm_tokenizer.pretrained.shared_rules import codebook_rules, convnext_rules, seanet_rules

ENCODEC = r"feature_extractor\.encodec"
CODEBOOK = rf"{ENCODEC}\.quantizer\.vq\.layers\.(\d+)\._codebook"
ATTENTION = {"norm": "norm", "q": "query", "k": "key", "v": "value", "proj_out": "out"}

RULES: tuple[Rule, ...] = (
    *seanet_rules(rf"{ENCODEC}\.encoder\.model", "encoder.layers"),
    *codebook_rules(CODEBOOK, r"quantizer.levels.\g<1>"),
    *convnext_rules("backbone", "decoder.backbone"),
    # A norm that depends on a condition has two tables for its weight and bias.
    Rename(r"backbone\.norm\.(scale|shift)\.weight", r"decoder.backbone.input_norm.\1.weight"),
    Rename(
        r"backbone\.convnext\.(\d+)\.norm\.(scale|shift)\.weight",
        r"decoder.backbone.blocks.\1.norm.\2.weight",
    ),
    *(
        Rename(
            rf"backbone\.pos_net\.2\.{theirs}\.(weight|bias)",
            rf"decoder.backbone.position_net.2.{ours}.\1",
        )
        for theirs, ours in ATTENTION.items()
    ),
    Rename(r"backbone\.pos_net\.(.*)", r"decoder.backbone.position_net.\1"),
    Rename(r"head\.out\.(weight|bias)", r"decoder.head.\1"),
    Ignore(r"head\.istft\.window", "a Hann window, computed here"),
    Ignore(rf"{ENCODEC}\.decoder\..*", "EnCodec's decoder: built, never used, Vocos decodes"),
    Ignore(
        r"(?!feature_extractor\.|backbone\.|head\.).*",
        "used in training only: discriminators and losses",
    ),
)


def read_encoder(pretrained: Mapping[str, Any], strides: tuple[int, ...]) -> SEANetConfig:
    """The encoder; its widths are fixed in the reference's code, if a file does not state others.

    `strides` are in the order of the encoder.
    """
    widths = pretrained.get("internal_widths_fixed_in_reference_code", {})
    return SEANetConfig(
        num_filters=widths.get("n_filters", 32),
        dim=widths.get("dimension", pretrained["backbone"]["input_channels"]),
        strides=strides,
    )


def read_decoder(pretrained: Mapping[str, Any], *, position_net: bool) -> VocosConfig:
    """The decoder, from the arguments of the reference's backbone and head."""
    backbone, head = pretrained["backbone"], pretrained["head"]
    if head.get("padding", "same") != "same":
        raise ConfigError(f"head.padding must be 'same', but is {head['padding']!r}")
    return VocosConfig(
        in_dim=backbone["input_channels"],
        dim=backbone["dim"],
        hidden_dim=backbone["intermediate_dim"],
        num_layers=backbone["num_layers"],
        num_conditions=backbone.get("adanorm_num_embeddings") or 0,
        position_net=position_net,
        n_fft=head["n_fft"],
        hop_length=head["hop_length"],
    )


def read_codebook_size(pretrained: Mapping[str, Any], usual: int) -> int:
    """Entries of a codebook; `usual` unless the file states another size."""
    widths = pretrained.get("internal_widths_fixed_in_reference_code", {})
    return int(widths.get("bins", usual))
