"""MaskGCT's two stages: text-to-semantic, and semantic-to-acoustic in two models."""

from collections.abc import Mapping
from typing import Any

from uslm.systems.maskgct.model import MaskGCTSemanticToAcousticConfig, MaskGCTTextToSemanticConfig
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.pretrained.key_mapping import Ignore, KeyMapping, Rename
from uslm_tokenizer.pretrained.llama_rules import diffusion_llama_rules

SOURCE = "https://github.com/open-mmlab/Amphion"
NUM_PHONES = 1024
"""Rows of the phoneme table, whatever the config says."""


def read_t2s_config(pretrained: Mapping[str, Any]) -> MaskGCTTextToSemanticConfig:
    """From the arguments of the reference's MaskGCT_T2S."""
    return MaskGCTTextToSemanticConfig(
        num_phones=NUM_PHONES,
        codebook_size=pretrained["cond_codebook_size"],
        dim=pretrained["hidden_size"],
        num_heads=pretrained["num_heads"],
        num_layers=pretrained["num_layers"],
        drop_rate=pretrained["cfg_scale"],
    )


def read_s2a_config(pretrained: Mapping[str, Any]) -> MaskGCTSemanticToAcousticConfig:
    """From the arguments of the reference's MaskGCT_S2A."""
    schedule = pretrained.get("mask_layer_schedule", "linear")
    if schedule != "linear":
        raise ConfigError(f"mask_layer_schedule must be 'linear', but is {schedule!r}")
    return MaskGCTSemanticToAcousticConfig(
        num_units=pretrained["cond_codebook_size"],
        num_codebooks=pretrained["num_quantizer"],
        first_codebook=0 if pretrained["predict_layer_1"] else 1,
        codebook_size=pretrained["codebook_size"],
        dim=pretrained["hidden_size"],
        num_heads=pretrained["num_heads"],
        num_layers=pretrained["num_layers"],
        drop_rate=pretrained["cfg_scale"],
    )


_SHARED = (
    *diffusion_llama_rules("diff_estimator", "estimator"),
    Rename(r"mask_emb\.weight", "mask_embedding.weight"),
    Rename(r"cond_emb\.weight", "unit_embedding.weight"),
    Ignore(r"diff_estimator\.embed_tokens\.weight", "a table without a row"),
)

T2S = KeyMapping(
    name="maskgct_t2s",
    systems=("MaskGCT T2S", "MaskGCT text-to-semantic"),
    model="uslm.systems.maskgct.model:MaskGCTTextToSemantic",
    read_config=read_t2s_config,
    rules=(
        *_SHARED,
        Rename(r"phone_emb\.weight", "phone_embedding.weight"),
        Rename(r"to_logit\.(weight|bias)", r"to_logits.\1"),
    ),
    signature_keys=(
        r"diff_estimator\.cond_mlp\.0\.weight",
        r"phone_emb\.weight",
        r"to_logit\.weight",
    ),
    source=SOURCE,
    code_licence="MIT",
    weights_licence="not stated",
)

S2A = KeyMapping(
    name="maskgct_s2a",
    systems=("MaskGCT S2A", "MaskGCT semantic-to-acoustic"),
    model="uslm.systems.maskgct.model:MaskGCTSemanticToAcoustic",
    read_config=read_s2a_config,
    rules=(
        *_SHARED,
        Rename(r"layer_emb\.weight", "codebook_embedding.weight"),
        Rename(r"token_emb\.(\d+)\.weight", r"code_embeddings.\1.weight"),
        Rename(r"to_logits\.(\d+\..*)", r"to_logits.\1"),
    ),
    signature_keys=(
        r"diff_estimator\.cond_mlp\.0\.weight",
        r"layer_emb\.weight",
        r"token_emb\.0\.weight",
    ),
    source=SOURCE,
    code_licence="MIT",
    weights_licence="not stated",
)
