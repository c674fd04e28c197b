"""VoxCPM's checkpoint, `openbmb/VoxCPM-0.5B`."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from uslm.systems.voxcpm.model import VoxCPMConfig
from uslm.systems.voxcpm.stacks import StackConfig
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.llama import sinusoids
from uslm_tokenizer.pretrained.key_mapping import Ignore, KeyMapping, Rename

START_ID = 101
"""Fixed in the published code."""
DECODER = "feat_decoder.estimator"


def read_config(published: Mapping[str, Any]) -> VoxCPMConfig:
    """From the published config.json."""
    lm, dit = published["lm_config"], published["dit_config"]
    if lm.get("use_mup"):
        raise ConfigError("use_mup of a VoxCPM must be False: no such one was published")
    if published.get("dit_mean_mode"):
        raise ConfigError("dit_mean_mode of a VoxCPM must be False, as it was published")
    for name, part in (("lm_config", lm), *((k, published[k]) for k in SIZES)):
        if part.get("kv_channels") is not None:
            raise ConfigError(f"{name}.kv_channels of a VoxCPM must be null")
    factors, scale = _rope(lm)
    stack = StackConfig(
        dim=lm["hidden_size"],
        hidden_dim=lm["intermediate_size"],
        num_heads=lm["num_attention_heads"],
        num_kv_heads=lm["num_key_value_heads"],
        num_layers=published["residual_lm_num_layers"],
        epsilon=lm["rms_norm_eps"],
        rope_factors=factors,
        rope_scale=scale,
    )
    encoder, decoder = (_local(stack, published[name]) for name in SIZES)
    return VoxCPMConfig(
        lm={
            "model_type": "llama",
            "vocab_size": lm["vocab_size"],
            "hidden_size": stack.dim,
            "intermediate_size": stack.hidden_dim,
            "num_hidden_layers": lm["num_hidden_layers"],
            "num_attention_heads": stack.num_heads,
            "num_key_value_heads": stack.num_kv_heads,
            "rms_norm_eps": stack.epsilon,
            "max_position_embeddings": lm["max_position_embeddings"],
            "rope_theta": lm["rope_theta"],
            "rope_scaling": {
                "rope_type": "longrope",
                "short_factor": list(factors),
                "long_factor": list(factors),
                "factor": 1.0,
                "original_max_position_embeddings": lm["max_position_embeddings"],
                "attention_factor": scale,
            },
        },
        start_id=START_ID,
        latent_dim=published["feat_dim"],
        patch_size=published["patch_size"],
        bottleneck_dim=published["scalar_quantization_latent_dim"],
        bottleneck_scale=published["scalar_quantization_scale"],
        residual=stack,
        encoder=encoder,
        decoder=decoder,
        drop_rate=dit["cfm_config"].get("training_cfg_rate", 0.1),
    )


SIZES = ("encoder_config", "dit_config")


def _local(stack: StackConfig, published: Mapping[str, Any]) -> StackConfig:
    """A small one: all that it does not say itself is that of the language model."""
    return replace(
        stack,
        dim=published["hidden_dim"],
        hidden_dim=published["ffn_dim"],
        num_heads=published["num_heads"],
        num_layers=published["num_layers"],
    )


def _rope(lm: Mapping[str, Any]) -> tuple[tuple[float, ...], float]:
    """Factors and scale. The published code takes the long ones where more positions are allowed
    than were at first, however short the row is."""
    if lm["rope_theta"] != 10_000:
        raise ConfigError(f"rope_theta of a VoxCPM must be 10000, but is {lm['rope_theta']}")
    rope = lm["rope_scaling"]
    original = rope["original_max_position_embeddings"]
    growth = lm["max_position_embeddings"] / original
    factors = rope["long_factor" if growth > 1 else "short_factor"]
    return tuple(factors), math.sqrt(1 + math.log(growth) / math.log(original))


def with_one_time(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The second time embedding, of a step's length, which is always 0 there: a constant, added to
    the bias of the first. Two parameters lose axes of length 1."""
    found, second = dict(state), f"{DECODER}.delta_time_mlp"
    first, last = (f"{second}.linear_{i}" for i in (1, 2))
    weight = state[f"{first}.weight"]
    still = sinusoids(torch.zeros(1, device=weight.device), weight.shape[1]).to(weight)
    hidden = F.silu(F.linear(still, weight, state[f"{first}.bias"]))
    constant = F.linear(hidden, state[f"{last}.weight"], state[f"{last}.bias"])[0]
    bias = f"{DECODER}.time_mlp.linear_2.bias"
    found[bias] = state[bias] + constant
    return found


def _negative(tensor: Tensor) -> Tensor:
    """Their direction leads to the noise, ours to the data."""
    return -tensor


def _flat(tensor: Tensor) -> Tensor:
    return tensor.flatten()


PARTS = {
    r"fsq_layer\.in_proj": "bottleneck.input",
    r"fsq_layer\.out_proj": "bottleneck.output",
    r"enc_to_lm_proj": "to_lm",
    r"lm_to_dit_proj": "semantic_to_decoder",
    r"res_to_dit_proj": "residual_to_decoder",
    r"stop_proj": "to_stop.0",
    r"stop_head": "to_stop.2",
    r"feat_encoder\.in_proj": "encoder.input",
    r"feat_decoder\.estimator\.in_proj": "decoder.input",
    r"feat_decoder\.estimator\.cond_proj": "decoder.previous",
    r"feat_decoder\.estimator\.time_mlp\.linear_1": "decoder.time.0",
    r"feat_decoder\.estimator\.time_mlp\.linear_2": "decoder.time.2",
}
BODIES = {
    r"base_lm": "lm",
    r"residual_lm": "residual_lm",
    r"feat_encoder\.encoder": "encoder.body",
    r"feat_decoder\.estimator\.decoder": "decoder.body",
}

VOXCPM = KeyMapping(
    name="voxcpm",
    systems=("VoxCPM",),
    model="uslm.systems.voxcpm.model:VoxCPM",
    read_config=read_config,
    rules=(
        *(Rename(rf"{theirs}\.(weight|bias)", rf"{ours}.\1") for theirs, ours in PARTS.items()),
        Rename(
            r"feat_decoder\.estimator\.out_proj\.(weight|bias)", r"decoder.output.\1", _negative
        ),
        Rename(r"feat_encoder\.special_token", "encoder.mark", _flat),
        Ignore(
            r"feat_decoder\.estimator\.delta_time_mlp\..*",
            "the embedding of a step's length, which is 0: added to the bias of the time's",
        ),
        Rename(r"base_lm\.embed_tokens\.weight", "lm.embed_tokens.weight"),
        *(
            Rename(rf"{theirs}\.((?:layers\.\d+|norm)\..*)", rf"{ours}.\1")
            for theirs, ours in BODIES.items()
        ),
    ),
    signature_keys=(r"base_lm\.embed_tokens\.weight", r"fsq_layer\.in_proj\.weight"),
    source="https://github.com/OpenBMB/VoxCPM",
    code_licence="Apache-2.0",
    weights_licence="Apache-2.0",
    prepare=with_one_time,
)
