"""Vevo's content tokenizer; the other one, of content and style, has the key mapping of
`repcodec`."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from uslm_tokenizer.codecs.vevo_content.model import ConvStackConfig, VevoContentConfig
from uslm_tokenizer.pretrained.key_mapping import Fill, KeyMapping, Rename
from uslm_tokenizer.quantize.rvq import ResidualQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig


def read_config(pretrained: Mapping[str, Any]) -> VevoContentConfig:
    """From the arguments of the reference's VevoRepCodec."""
    level = VectorQuantizerConfig(
        dim=pretrained["code_dim"],
        codebook_size=pretrained["codebook_size"],
        decay=0.8,
        dead_share=0.0,
        smoothing=1e-5,
    )
    return VevoContentConfig(
        dim=pretrained["input_channels"],
        output_dim=pretrained["output_channels"],
        encoder=_stack(pretrained, "enc", pretrained["encode_channels"]),
        decoder=_stack(pretrained, "dec", pretrained["decode_channels"]),
        quantizer=ResidualQuantizerConfig(
            levels=(level,) * pretrained["codebook_num"], dropout=0.0
        ),
    )


def _stack(pretrained: Mapping[str, Any], side: str, dim: int) -> ConvStackConfig:
    return ConvStackConfig(
        dim=dim,
        kernel_size=pretrained[f"{side}_kernel_size"],
        ratios=tuple(float(ratio) for ratio in pretrained[f"{side}_ratios"]),
        strides=tuple(pretrained[f"{side}_strides"]),
        dilations=tuple(pretrained[f"{side}_block_dilations"]),
        unit_kernel_size=pretrained[f"{side}_block_kernel_size"],
        bias=pretrained["bias"],
    )


def _transposed(weight: Tensor) -> Tensor:
    return weight.T


UNIT = r"(encoder|decoder)\.conv_blocks\.(\d+)\.res_units\.(\d+)"
OUR_UNIT = r"\1.blocks.\2.units.\3"
LEVEL = r"quantizer\.codebook\.layers\.(\d+)"
OUR_LEVEL = r"quantizer.levels.\1"

VEVO_CONTENT = KeyMapping(
    name="vevo_content",
    systems=("Vevo content tokenizer",),
    model="uslm_tokenizer.codecs.vevo_content.model:VevoContentTokenizer",
    read_config=read_config,
    rules=(
        Rename(r"encoder\.conv\.conv\.weight", "encoder.input.weight"),
        Rename(r"decoder\.conv1\.conv\.weight", "decoder.input.weight"),
        Rename(r"decoder\.conv2\.conv\.weight", "decoder.output.weight"),
        Rename(rf"{UNIT}\.conv1\.conv\.weight", rf"{OUR_UNIT}.near.weight"),
        Rename(rf"{UNIT}\.conv2\.weight", rf"{OUR_UNIT}.mix.weight"),
        Rename(
            r"(encoder|decoder)\.conv_blocks\.(\d+)\.conv\.(?:de)?conv\.(weight|bias)",
            r"\1.blocks.\2.conv.\3",
        ),
        Rename(r"projector\.project\.conv\.weight", "projection.weight"),
        Rename(rf"{LEVEL}\.embed", rf"{OUR_LEVEL}.embedding", _transposed),
        Rename(rf"{LEVEL}\.embed_avg", rf"{OUR_LEVEL}.running_sum", _transposed),
        Rename(rf"{LEVEL}\.cluster_size", rf"{OUR_LEVEL}.cluster_size"),
    ),
    fills=(Fill(r".*\.initialized", 1.0, "a published codebook is in use"),),
    signature_keys=(r"encoder\.conv\.conv\.weight", r"projector\..*", rf"{LEVEL}\.embed_avg"),
    source="https://github.com/open-mmlab/Amphion",
    code_licence="CC BY-NC 4.0 (header of the file; the repository: MIT)",
    weights_licence="not stated",
)
