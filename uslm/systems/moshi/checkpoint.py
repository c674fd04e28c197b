"""Moshi's checkpoints: that of transformers, and Kyutai's own, `kyutai/moshiko-pytorch-bf16`."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from uslm.systems.moshi.model import MoshiConfig
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.pretrained.key_mapping import Concat, Ignore, KeyMapping, Rename, Rule

OTHER_NETS = (
    "conditioners",
    "cross_attention",
    "demux_second_stream",
    "depformer_weights_per_step_schedule",
    "depformer_low_rank_embeddings",
    "extra_heads_num_heads",
)
"""What Kyutai's later models have and Moshi has not."""
FIRST_ACOUSTIC_DELAY = 1
"""That of the published Moshi, which transformers' config does not state."""


def read_transformers_config(published: Mapping[str, Any]) -> MoshiConfig:
    """From the config.json of transformers' Moshi."""
    depth = published["depth_decoder_config"]
    for part in (published, depth):
        if part["num_key_value_heads"] != part["num_attention_heads"]:
            raise ConfigError(
                f"num_key_value_heads of a Moshi must be {part['num_attention_heads']}, as many "
                f"as its heads, but is {part['num_key_value_heads']}"
            )
    return MoshiConfig(
        text_vocab_size=published["vocab_size"],
        codebook_size=published["audio_vocab_size"],
        num_codebooks=published["num_codebooks"],
        num_user_codebooks=published["num_codebooks"],
        dim=published["hidden_size"],
        num_heads=published["num_attention_heads"],
        num_layers=published["num_hidden_layers"],
        hidden_dim=published["ffn_dim"] // 2,
        context=published["sliding_window"],
        depth_dim=depth["hidden_size"],
        depth_num_heads=depth["num_attention_heads"],
        depth_num_layers=depth["num_hidden_layers"],
        depth_hidden_dim=depth["ffn_dim"] // 2,
        acoustic_delay=FIRST_ACOUSTIC_DELAY,
    )


def read_config(published: Mapping[str, Any]) -> MoshiConfig:
    """From the arguments of Kyutai's language model, as their config.json has them."""
    for name in OTHER_NETS:
        if published.get(name):
            raise ConfigError(f"{name} of a Moshi must not be set, but is {published[name]!r}")
    own, audio, delays = published["dep_q"], published["n_q"], published["delays"]
    config = MoshiConfig(
        text_vocab_size=published["text_card"],
        pad_id=published["existing_text_padding_id"],
        codebook_size=published["card"],
        num_codebooks=own,
        num_user_codebooks=audio - own,
        dim=published["dim"],
        num_heads=published["num_heads"],
        num_layers=published["num_layers"],
        hidden_dim=_gated(published["hidden_scale"] * published["dim"], published["dim"]),
        context=published["context"],
        depth_dim=published["depformer_dim"],
        depth_num_heads=published["depformer_num_heads"],
        depth_num_layers=published["depformer_num_layers"],
        depth_hidden_dim=_gated(
            float(published["depformer_dim_feedforward"]), published["depformer_dim"]
        ),
        text_delay=delays[0],
        audio_delay=delays[1],
        acoustic_delay=delays[2] - delays[1],
    )
    wanted = [stream.delay for stream in config.streams]
    if delays != wanted:
        raise ConfigError(f"delays of a Moshi must be like {wanted}, but are {delays}")
    return config


def _gated(width: float, dim: int) -> int:
    """The width of a gated layer with about as many weights as a plain one of `width`."""
    return 21 * dim // 8 if int(width) == 4 * dim else 2 * int(width) // 3


def _split_rotation(num_heads: int) -> Any:
    """Kyutai's rotary positions turn neighbours, ours the halves of a head: what makes the rows of
    queries and keys ours."""

    def change(weight: Tensor) -> Tensor:
        queries, keys, values = weight.chunk(3)

        def halves(part: Tensor) -> Tensor:
            pairs = part.view(num_heads, -1, 2, part.shape[1])
            return pairs.transpose(1, 2).flatten(0, 2)

        return torch.cat([halves(queries), halves(keys), values])

    return change


def _flat(norm: Tensor) -> Tensor:
    return norm.flatten()


def rules(config: MoshiConfig) -> tuple[Rule, ...]:
    """Rules of what becomes of each of Kyutai's tensors."""
    block, ours = r"transformer\.layers\.(\d+)", r"transformer.blocks.\1"
    deep, depth = r"depformer\.layers\.(\d+)", r"depth.transformer.blocks.\1"
    steps = tuple(str(k) for k in range(config.num_codebooks))

    def by_step(weight: Tensor) -> Tensor:
        return weight.view(config.num_codebooks, -1, weight.shape[1])

    return (
        Rename(r"text_emb\.weight", "text_embedding.weight"),
        Rename(r"emb\.(\d+)\.weight", r"code_embeddings.\1.weight"),
        Rename(r"text_linear\.weight", "to_text.weight"),
        Rename(r"out_norm\.alpha", "transformer.norm.weight", _flat),
        Rename(
            rf"{block}\.self_attn\.in_proj_weight",
            rf"{ours}.attention.qkv.weight",
            _split_rotation(config.num_heads),
        ),
        Rename(rf"{block}\.self_attn\.out_proj\.weight", rf"{ours}.attention.out.weight"),
        Rename(rf"{block}\.gating\.linear_in\.weight", rf"{ours}.feed_forward.up.weight"),
        Rename(rf"{block}\.gating\.linear_out\.weight", rf"{ours}.feed_forward.down.weight"),
        Rename(rf"{block}\.norm1\.alpha", rf"{ours}.attention_norm.weight", _flat),
        Rename(rf"{block}\.norm2\.alpha", rf"{ours}.feed_forward_norm.weight", _flat),
        Rename(r"depformer_text_emb\.weight", "depth.first_embedding.weight"),
        Rename(r"depformer_emb\.(\d+)\.weight", r"depth.code_embeddings.\1.weight"),
        Concat(r"depformer_in\.(?P<part>\d+)\.weight", "depth.from_state.weight", steps),
        Concat(r"linears\.(?P<part>\d+)\.weight", "depth.to_logits.weight", steps),
        Rename(rf"{deep}\.self_attn\.in_proj_weight", rf"{depth}.qkv.weight", by_step),
        Rename(rf"{deep}\.self_attn\.out_proj\.weight", rf"{depth}.out.weight", by_step),
        Concat(rf"{deep}\.gating\.(?P<part>\d+)\.linear_in\.weight", rf"{depth}.up.weight", steps),
        Concat(
            rf"{deep}\.gating\.(?P<part>\d+)\.linear_out\.weight", rf"{depth}.down.weight", steps
        ),
        Rename(rf"{deep}\.norm1\.alpha", rf"{depth}.attention_norm.weight", _flat),
        Rename(rf"{deep}\.norm2\.alpha", rf"{depth}.feed_forward_norm.weight", _flat),
    )


def with_steps(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Layers of one step each as layers [1, e, d], so that they can be joined."""
    stacked = ("depformer_in.", "linears.")
    return {
        name: tensor[None]
        if name.startswith(stacked) or ("depformer." in name and ".gating." in name)
        else tensor
        for name, tensor in state.items()
    }


def _transformers_rules() -> tuple[Rule, ...]:
    block, ours = r"decoder\.model\.layers\.(\d+)", r"transformer.blocks.\1"
    deep, depth = r"depth_decoder\.layers\.(\d+)", r"depth.transformer.blocks.\1"
    norms = {"input_layernorm": "attention_norm", "post_attention_layernorm": "feed_forward_norm"}
    return (
        Rename(r"decoder\.model\.embed_tokens\.weight", "text_embedding.weight"),
        Rename(r"embed_tokens\.(\d+)\.weight", r"code_embeddings.\1.weight"),
        Rename(r"decoder\.lm_head\.weight", "to_text.weight"),
        Rename(r"decoder\.model\.norm\.weight", "transformer.norm.weight"),
        Concat(
            rf"{block}\.self_attn\.(?P<part>[qkv])_proj\.linear\.weight",
            rf"{ours}.attention.qkv.weight",
            ("q", "k", "v"),
        ),
        Rename(rf"{block}\.self_attn\.o_proj\.linear\.weight", rf"{ours}.attention.out.weight"),
        Rename(rf"{block}\.mlp\.fc1\.weight", rf"{ours}.feed_forward.up.weight"),
        Rename(rf"{block}\.mlp\.fc2\.weight", rf"{ours}.feed_forward.down.weight"),
        *(Rename(rf"{block}\.{a}\.weight", rf"{ours}.{b}.weight") for a, b in norms.items()),
        Rename(r"depth_decoder\.text_embed_tokens\.weight", "depth.first_embedding.weight"),
        Rename(r"depth_decoder\.embed_tokens\.(\d+)\.weight", r"depth.code_embeddings.\1.weight"),
        Rename(r"depth_decoder\.input_projections\.weight", "depth.from_state.weight"),
        Rename(r"depth_decoder\.lm_heads\.weight", "depth.to_logits.weight"),
        Rename(rf"{deep}\.self_attn\.qkv_proj\.linear\.weight", rf"{depth}.qkv.weight"),
        Rename(rf"{deep}\.self_attn\.o_proj\.linear\.weight", rf"{depth}.out.weight"),
        Rename(rf"{deep}\.mlp\.fc1\.weight", rf"{depth}.up.weight"),
        Rename(rf"{deep}\.mlp\.fc2\.weight", rf"{depth}.down.weight"),
        *(Rename(rf"{deep}\.{a}\.weight", rf"{depth}.{b}.weight") for a, b in norms.items()),
        Ignore(r"audio_encoder\..*", "the codec, which is a Mimi of its own"),
    )


def joined_steps(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Queries, keys and values of the depth transformer, [steps, e, d] each, as one."""
    found = {name: tensor for name, tensor in state.items() if not _is_deep_part(name)}
    for name in state:
        if name.startswith("depth_decoder.") and ".q_proj." in name:
            parts = [state[name.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"]
            found[name.replace(".q_proj.", ".qkv_proj.")] = torch.cat(parts, dim=1)
    return found


def _is_deep_part(name: str) -> bool:
    parts = (".q_proj.", ".k_proj.", ".v_proj.")
    return name.startswith("depth_decoder.") and any(part in name for part in parts)


MOSHI = KeyMapping(
    name="moshi",
    systems=("Moshi",),
    model="uslm.systems.moshi.model:MoshiLM",
    read_config=read_config,
    prepare=with_steps,
    rules=rules,
    signature_keys=(r"depformer_text_emb\.weight", r"text_linear\.weight", r"out_norm\.alpha"),
    source="https://huggingface.co/kyutai/moshiko-pytorch-bf16",
    code_licence="MIT and Apache-2.0",
    weights_licence="CC-BY 4.0",
)
MOSHI_TRANSFORMERS = KeyMapping(
    name="moshi_transformers",
    systems=("transformers' Moshi",),
    model="uslm.systems.moshi.model:MoshiLM",
    read_config=read_transformers_config,
    prepare=joined_steps,
    rules=_transformers_rules(),
    signature_keys=(r"depth_decoder\.text_embed_tokens\.weight", r"decoder\.lm_head\.weight"),
    source="https://huggingface.co/kmhf/hf-moshiko",
    code_licence="Apache-2.0",
    weights_licence="CC-BY 4.0",
)
