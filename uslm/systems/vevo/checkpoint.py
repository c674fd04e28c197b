"""Vevo's models beside its tokenizers: flow matching, and two language models of units."""

from collections.abc import Mapping
from typing import Any

from uslm.systems.vevo.flow_matching import FlowMatchingConfig
from uslm.systems.vevo.lm import VevoLMConfig
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.pretrained.key_mapping import KeyMapping, Rename
from uslm_tokenizer.pretrained.llama_rules import diffusion_llama_rules, llama_rules

SOURCE = "https://github.com/open-mmlab/Amphion"


def read_flow_config(pretrained: Mapping[str, Any]) -> FlowMatchingConfig:
    """From the arguments of the reference's FlowMatchingTransformer."""
    uses_codes = pretrained["use_cond_code"]
    if not uses_codes and pretrained.get("cond_scale_factor", 1) != 1:
        raise ConfigError(
            "cond_scale_factor must be 1: features of another frame rate than the mel's are not "
            f"supported, but it is {pretrained['cond_scale_factor']}"
        )
    return FlowMatchingConfig(
        frame_dim=pretrained["mel_dim"],
        codebook_size=pretrained["cond_codebook_size"],
        feature_dim=None if uses_codes else pretrained["cond_dim"],
        dim=pretrained["hidden_size"],
        num_heads=pretrained["num_heads"],
        num_layers=pretrained["num_layers"],
        sigma=pretrained["sigma"],
        cosine_time=pretrained["time_scheduler"] == "cos",
        drop_rate=pretrained["cfg_scale"],
    )


VEVO_FLOW = KeyMapping(
    name="vevo_flow",
    systems=("Vevo flow-matching transformer",),
    model="uslm.systems.vevo.flow_matching:FlowMatching",
    read_config=read_flow_config,
    rules=(
        Rename(r"cond_emb\.(weight|bias)", r"to_condition.\1"),
        *diffusion_llama_rules("diff_estimator", "estimator"),
    ),
    signature_keys=(r"cond_emb\.weight", r"diff_estimator\.mel_mlp\.0\.weight"),
    source=SOURCE,
    code_licence="MIT",
    weights_licence="not stated",
)


def read_lm_config(pretrained: Mapping[str, Any]) -> VevoLMConfig:
    """From the arguments of the reference's AutoregressiveTransformer."""
    if pretrained.get("use_global_style_encoder", False):
        raise ConfigError("use_global_style_encoder must be False: no such model was published")
    return VevoLMConfig(
        text_vocab_size=pretrained["input_vocab_size"],
        codebook_size=pretrained["output_vocab_size"],
        dim=pretrained["hidden_size"],
        hidden_dim=pretrained["intermediate_size"],
        num_heads=pretrained["num_attention_heads"],
        num_layers=pretrained["num_hidden_layers"],
    )


VEVO_LM = KeyMapping(
    name="vevo_lm",
    systems=("Vevo autoregressive transformer",),
    model="uslm.systems.vevo.lm:VevoLM",
    read_config=read_lm_config,
    rules=(
        Rename(r"model\.model\.embed_tokens\.weight", "embedding.weight"),
        *llama_rules(r"model\.model", "transformer"),
        Rename(r"model\.lm_head\.weight", "to_logits.weight"),
    ),
    signature_keys=(r"model\.model\.embed_tokens\.weight", r"model\.lm_head\.weight"),
    source=SOURCE,
    code_licence="MIT",
    weights_licence="not stated",
)
