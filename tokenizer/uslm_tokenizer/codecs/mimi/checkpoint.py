"""Mimi's checkpoint in the key mapping of transformers, `kyutai/mimi`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from uslm_tokenizer.codecs.mimi.model import MimiCodecConfig, mimi_network
from uslm_tokenizer.codecs.mimi.quantizer import MimiQuantizerConfig
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.pretrained.key_mapping import Concat, KeyMapping, Rename, Rule
from uslm_tokenizer.pretrained.shared_rules import as_flag
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig

SMALLEST_USE = 1e-5
"""The published code divides by no less."""


def read_config(published: Mapping[str, Any]) -> MimiCodecConfig:
    """From the config.json of transformers; its keys for training are passed over."""
    wanted = {
        "use_causal_conv": True,
        "pad_mode": "constant",
        "trim_right_ratio": 1.0,
        "audio_channels": 1,
        "hidden_act": "gelu",
        "num_key_value_heads": published["num_attention_heads"],
        "codebook_dim": published["vector_quantization_hidden_dimension"],
    }
    for name, value in wanted.items():
        if published[name] != value:
            raise ConfigError(f"{name} of a Mimi must be {value!r}, but is {published[name]!r}")
    dim, groups = published["hidden_size"], published["upsample_groups"]
    return MimiCodecConfig(
        sample_rate=published["sampling_rate"],
        network=replace(
            mimi_network(),
            dim=dim,
            num_filters=published["num_filters"],
            strides=tuple(reversed(published["upsampling_ratios"])),
            kernel_size=published["kernel_size"],
            last_kernel_size=published["last_kernel_size"],
            num_residual_units=published["num_residual_layers"],
            residual_kernel_size=published["residual_kernel_size"],
            dilation_base=published["dilation_growth_rate"],
            compress=published["compress"],
            shortcut_conv=published["use_conv_shortcut"],
        ),
        num_heads=published["num_attention_heads"],
        num_layers=published["num_hidden_layers"],
        hidden_dim=published["intermediate_size"],
        context=published["sliding_window"],
        layer_scale=published["layer_scale_initial_scale"],
        quantizer=MimiQuantizerConfig(
            level=VectorQuantizerConfig(
                dim=published["codebook_dim"],
                codebook_size=published["codebook_size"],
                dead_share=0.1,
            ),
            num_levels=published["num_quantizers"],
            num_semantic=published["num_semantic_quantizers"],
        ),
        upsample_groups=None if groups == dim else groups,
    )


def with_embeddings(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Beside the sums and counts of each codebook their quotient, which is what codes stand for."""
    found = dict(state)
    for name, sums in state.items():
        if name.endswith(".embed_sum"):
            counts = state[name.replace("embed_sum", "cluster_usage")]
            found[name.replace("embed_sum", "embed")] = (
                sums / counts.clamp(min=SMALLEST_USE)[:, None]
            )
    return found


def _side(side: str) -> tuple[Rule, ...]:
    """Encoder or decoder; newer releases of transformers put both in modules of their own."""
    layer = rf"{side}\.(?:{side}_seanet\.)?layers\.(\d+)"
    block = rf"(?:{side}\.)?{side}_transformer\.layers\.(\d+)"
    ours = rf"{side}_transformer.blocks.\1"
    parts = {
        r"self_attn\.o_proj\.weight": "attention.out.weight",
        r"mlp\.fc1\.weight": "up.weight",
        r"mlp\.fc2\.weight": "down.weight",
        r"self_attn_layer_scale\.scale": "attention_scale",
        r"mlp_layer_scale\.scale": "feed_forward_scale",
    }
    norms = {
        "input_layernorm": "attention_norm",
        "post_attention_layernorm": "feed_forward_norm",
    }
    return (
        Rename(rf"{layer}\.conv\.(weight|bias)", rf"{side}.layers.\1.conv.\2"),
        Rename(rf"{layer}\.block\.(\d+)\.conv\.(\w+)", rf"{side}.layers.\1.layers.\2.conv.\3"),
        Rename(rf"{layer}\.shortcut\.conv\.(\w+)", rf"{side}.layers.\1.shortcut.conv.\2"),
        Concat(
            rf"{block}\.self_attn\.(?P<part>[qkv])_proj\.weight",
            rf"{ours}.attention.qkv.weight",
            ("q", "k", "v"),
        ),
        *(Rename(rf"{block}\.{theirs}", rf"{ours}.{name}") for theirs, name in parts.items()),
        *(
            Rename(rf"{block}\.{theirs}\.(weight|bias)", rf"{ours}.{name}.\2")
            for theirs, name in norms.items()
        ),
    )


def _codebooks(kind: str) -> tuple[Rule, ...]:
    theirs, ours = rf"quantizer\.{kind}_residual_vector_quantizer", f"quantizer.{kind}"
    book, level = rf"{theirs}\.layers\.(\d+)\.codebook", rf"{ours}.stack.levels.\1"
    return (
        Rename(rf"{theirs}\.input_proj\.weight", f"{ours}.into.weight"),
        Rename(rf"{theirs}\.output_proj\.weight", f"{ours}.out.weight"),
        Rename(rf"{book}\.embed", f"{level}.embedding"),
        Rename(rf"{book}\.embed_sum", f"{level}.running_sum"),
        Rename(rf"{book}\.cluster_usage", f"{level}.cluster_size"),
        Rename(rf"{book}\.initialized", f"{level}.initialized", as_flag),
    )


MIMI = KeyMapping(
    name="mimi",
    systems=("Mimi",),
    model="uslm_tokenizer.codecs.mimi.model:MimiCodec",
    read_config=read_config,
    prepare=with_embeddings,
    rules=(
        *_side("encoder"),
        *_side("decoder"),
        Rename(r"(?:encoder\.)?downsample\.conv\.weight", "downsample.conv.weight"),
        Rename(r"(?:decoder\.)?upsample\.conv\.weight", "upsample.conv.weight"),
        *_codebooks("semantic"),
        *_codebooks("acoustic"),
    ),
    signature_keys=(
        r"quantizer\.semantic_residual_vector_quantizer\.layers\.0\.codebook\.embed_sum",
        r"(?:encoder\.)?downsample\.conv\.weight",
    ),
    source="https://huggingface.co/kyutai/mimi",
    code_licence="Apache-2.0",
    weights_licence="CC-BY 4.0",
)
