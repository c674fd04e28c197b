"""Vevo's models beside its tokenizers: flow matching, and two language models of units."""

from collections.abc import Mapping
from typing import Any

from uslm.systems.vevo.flow_matching import FlowMatchingConfig
from uslm.systems.vevo.lm import VevoLMConfig
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.pretrained.layout import Layout, Rename
from uslm_tokenizer.pretrained.llama_rules import diffusion_llama_rules, llama_rules

SOURCE = "https://github.com/open-mmlab/Amphion"


def read_flow_config(published: Mapping[str, Any]) -> FlowMatchingConfig:
    """From the arguments of the reference's FlowMatchingTransformer."""
    uses_codes = published["use_cond_code"]
    if not uses_codes and published.get("cond_scale_factor", 1) != 1:
        raise ConfigError(
            "cond_scale_factor must be 1: features of another frame rate than the mel's are not "
            f"supported, but it is {published['cond_scale_factor']}"
        )
    return FlowMatchingConfig(
        frame_dim=published["mel_dim"],
        codebook_size=published["cond_codebook_size"],
        feature_dim=None if uses_codes else published["cond_dim"],
        dim=published["hidden_size"],
        num_heads=published["num_heads"],
        num_layers=published["num_layers"],
        sigma=published["sigma"],
        cosine_time=published["time_scheduler"] == "cos",
        drop_rate=published["cfg_scale"],
    )


VEVO_FLOW = Layout(
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


def read_lm_config(published: Mapping[str, Any]) -> VevoLMConfig:
    """From the arguments of the reference's AutoregressiveTransformer."""
    if published.get("use_global_style_encoder", False):
        raise ConfigError("use_global_style_encoder must be False: no such model was published")
    return VevoLMConfig(
        text_vocab_size=published["input_vocab_size"],
        codebook_size=published["output_vocab_size"],
        dim=published["hidden_size"],
        hidden_dim=published["intermediate_size"],
        num_heads=published["num_attention_heads"],
        num_layers=published["num_hidden_layers"],
    )


VEVO_LM = Layout(
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
