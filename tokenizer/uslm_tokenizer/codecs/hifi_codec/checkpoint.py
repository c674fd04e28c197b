"""HiFi-Codec's checkpoints: the state dicts of encoder, quantizer and generator side by side."""

from collections.abc import Mapping
from typing import Any

from uslm_tokenizer.codecs.hifi_codec.model import HiFiCodecConfig
from uslm_tokenizer.nn.hifigan import ResidualStackConfig
from uslm_tokenizer.pretrained.key_mapping import KeyMapping, Rename, Rule
from uslm_tokenizer.pretrained.shared_rules import weight_norm_rules
from uslm_tokenizer.quantize.grvq import GroupedQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig

# Numbers that the reference has in its code, not in its config.
LATENT_DIM, NUM_FILTERS, NUM_LEVELS = 512, 32, 2


def read_config(pretrained: Mapping[str, Any]) -> HiFiCodecConfig:
    """From the pretrained config json; its keys for training are passed over."""
    kernels, dilations = pretrained["resblock_kernel_sizes"], pretrained["resblock_dilation_sizes"]
    return HiFiCodecConfig(
        sample_rate=pretrained.get("sampling_rate", HiFiCodecConfig.sample_rate),
        strides=tuple(reversed(pretrained["upsample_rates"])),
        kernel_sizes=tuple(reversed(pretrained["upsample_kernel_sizes"])),
        num_filters=pretrained.get("encoder_base_width_instead_of_32", NUM_FILTERS),
        decoder_dim=pretrained["upsample_initial_channel"],
        stacks=tuple(
            ResidualStackConfig(
                kernel_size=kernel, dilations=tuple(each), double=str(pretrained["resblock"]) == "1"
            )
            for kernel, each in zip(kernels, dilations, strict=True)
        ),
        level=read_level(pretrained, pretrained.get("latent_width_instead_of_512", LATENT_DIM)),
        num_levels=NUM_LEVELS,
    )


def read_level(pretrained: Mapping[str, Any], dim: int) -> GroupedQuantizerConfig:
    """One level of the quantizer, for latents of width `dim`."""
    num_groups = pretrained["n_code_groups"]
    group = VectorQuantizerConfig(
        dim=dim // num_groups,
        codebook_size=pretrained["n_codes"],
        update="gradient",
        commitment_weight=pretrained["commitment_loss_lambda"],
        codebook_weight=pretrained["codebook_loss_lambda"],
        dead_share=0.0,
        count_use=False,
    )
    return GroupedQuantizerConfig(group=group, num_groups=num_groups)


def quantizer_rules(theirs: str, ours: str) -> tuple[Rename, ...]:
    """The group-residual quantizer alone."""
    return (
        Rename(
            rf"{theirs}quantizer_modules\.(\d+)\.embedding\.weight",
            rf"{ours}levels.0.groups.\1.embedding",
        ),
        Rename(
            rf"{theirs}quantizer_modules2\.(\d+)\.embedding\.weight",
            rf"{ours}levels.1.groups.\1.embedding",
        ),
    )


def _stack_rules(theirs: str, ours: str) -> tuple[Rename, ...]:
    """ "convs1" and "convs2" of a doubled stack, "convs" of the other kind."""
    names = {"convs1": "dilated", "convs2": "plain", "convs": "dilated"}
    return tuple(
        rule
        for a, b in names.items()
        for rule in weight_norm_rules(
            rf"{theirs}\.resblocks\.(\d+)\.{a}\.(\d+)", rf"{ours}.stacks.\1.{b}.\2"
        )
    )


_RULES: tuple[Rule, ...] = (
    *weight_norm_rules(r"encoder\.conv_pre", "encoder.input"),
    *weight_norm_rules(r"encoder\.ups\.(\d+)", r"encoder.downsamples.\1"),
    *_stack_rules("encoder", "encoder"),
    Rename(r"encoder\.normalize\.(\d+)\.(weight|bias)", r"encoder.norms.\1.\2"),
    Rename(r"encoder\.conv_post\.(weight|bias)", r"encoder.output.\1"),
    *quantizer_rules(r"quantizer\.", "quantizer."),
    *weight_norm_rules(r"generator\.conv_pre", "decoder.input"),
    *weight_norm_rules(r"generator\.ups\.(\d+)", r"decoder.upsamples.\1"),
    *_stack_rules("generator", "decoder"),
    *weight_norm_rules(r"generator\.conv_post", "decoder.output"),
)

HIFI_CODEC = KeyMapping(
    name="hifi_codec",
    systems=("HiFi-Codec",),
    model="uslm_tokenizer.codecs.hifi_codec.model:HiFiCodec",
    read_config=read_config,
    rules=_RULES,
    signature_keys=(
        r"encoder\.conv_pre\.weight_g",
        r"quantizer\.quantizer_modules2\.0\.embedding\.weight",
        r"generator\.conv_post\.weight_g",
    ),
    source="https://github.com/yangdongchao/AcademiCodec",
    code_licence="MIT",
    weights_licence="not stated",
)
