"""VALL-E of lifeiteng/vall-e, and USLM, which is the same network over SpeechTokenizer's codes."""

from collections.abc import Mapping
from typing import Any

from uslm.systems.valle.ar import ValleARConfig
from uslm.systems.valle.model import ValleConfig
from uslm.systems.valle.nar import ValleNARConfig, untied
from uslm_tokenizer.pretrained.key_mapping import Concat, KeyMapping, Rename, Rule, Tie

TEXT_ROWS = 512
"""Rows of the published text tables, a constant of the code; the last one is our separator's."""
CODEBOOK_SIZE = 1024
"""Entries of a codebook, a constant of the code too."""


def read_config(pretrained: Mapping[str, Any]) -> ValleConfig:
    """From the arguments of the reference's VALLE or USLM."""
    scale = pretrained["nar_scale_factor"]
    shared = {
        "text_vocab_size": TEXT_ROWS - 1,
        "codebook_size": CODEBOOK_SIZE,
        "norm_first": pretrained["norm_first"],
        "prenet": pretrained["add_prenet"],
    }
    return ValleConfig(
        ar=ValleARConfig(
            dim=pretrained["d_model"],
            num_heads=pretrained["nhead"],
            num_layers=pretrained["num_layers"],
            prepend_bos=pretrained["prepend_bos"],
            **shared,
        ),
        nar=ValleNARConfig(
            num_codebooks=pretrained["num_quantizers"],
            dim=int(pretrained["d_model"] * scale),
            num_heads=int(pretrained["nhead"] * scale),
            num_layers=int(pretrained["num_layers"] * scale),
            prefix_mode=pretrained["prefix_mode"],
            tied_heads=pretrained["share_embedding"],
            **shared,
        ),
    )


def rules(config: ValleConfig) -> tuple[Rule, ...]:
    """The rule for each tensor; which heads repeat an embedding is the config's choice."""
    codebooks = [str(codebook) for codebook in range(config.nar.num_codebooks)]
    own = untied(config.nar)
    heads: list[Rule] = []
    for codebook in range(1, config.nar.num_codebooks):
        theirs = rf"nar_predict_layers\.{codebook - 1}\.weight"
        if codebook in own:
            heads.append(Rename(theirs, f"nar.heads.{own.index(codebook)}.weight"))
        else:
            other = f"nar_audio_embeddings.{codebook + 1}.word_embeddings.weight"
            reason = "the scores of a codebook use the embeddings of the codebook above it"
            heads.append(Tie(theirs, other, reason))
    return (
        *_stage("ar", "unit_positions"),
        *_stage("nar", "frame_positions"),
        Rename(r"ar_audio_embedding\.word_embeddings\.weight", "ar.unit_embedding.weight"),
        Rename(r"ar_predict_layer\.weight", "ar.to_logits.weight"),
        Concat(
            r"nar_audio_embeddings\.(?P<part>\d+)\.word_embeddings\.weight",
            "nar.code_embedding.weight",
            tuple(codebooks),
        ),
        Concat(
            r"nar_stage_embeddings\.(?P<part>\d+)\.word_embeddings\.weight",
            "nar.codebook_embedding.weight",
            tuple(codebooks[:-1]),
        ),
        *heads,
    )


def _stage(stage: str, positions: str) -> tuple[Rename, ...]:
    """Rules that both stages share."""
    layer, ours = rf"{stage}_decoder\.layers\.(\d+)", rf"{stage}.transformer.blocks.\1"
    parts = {
        r"self_attn\.in_proj_": "attention.qkv.",
        r"self_attn\.out_proj\.": "attention.out.",
        r"linear1\.": "up.",
        r"linear2\.": "down.",
        **_norm(r"norm1\.", "attention_norm"),
        **_norm(r"norm2\.", "feed_forward_norm"),
    }
    convs = {1: "0.0", 2: "0.1", 5: "1.0", 6: "1.1", 9: "2.0", 10: "2.1"}
    prenet = rf"{stage}_text_prenet"
    return (
        Rename(
            rf"{stage}_text_embedding\.word_embeddings\.weight", f"{stage}.text.embedding.weight"
        ),
        Rename(rf"{stage}_text_position\.alpha", f"{stage}.text.positions.weight"),
        Rename(rf"{stage}_audio_position\.alpha", f"{stage}.{positions}.weight"),
        *(
            Rename(rf"{layer}\.{theirs}(weight|bias)", rf"{ours}.{name}\2")
            for theirs, name in parts.items()
        ),
        *(
            Rename(rf"{stage}_decoder\.{theirs}(weight|bias)", rf"{stage}.transformer.{name}\1")
            for theirs, name in _norm(r"norm\.", "norm").items()
        ),
        *(
            Rename(rf"{prenet}\.{theirs}\.(\w+)", rf"{stage}.text.prenet.convs.{name}.\1")
            for theirs, name in convs.items()
        ),
        Rename(rf"{prenet}\.14\.(weight|bias)", rf"{stage}.text.prenet.out.\1"),
        Rename(rf"{stage}_audio_prenet\.(\d)\.(weight|bias)", rf"{stage}.prenet.\1.\2"),
    )


def _norm(theirs: str, ours: str) -> dict[str, str]:
    """A layer norm, plain or adaptive."""
    return {
        theirs: f"{ours}.norm.",
        rf"{theirs}norm\.": f"{ours}.norm.",
        rf"{theirs}project_layer\.": f"{ours}.to_scale_and_shift.",
    }


VALLE = KeyMapping(
    name="valle",
    systems=("USLM", "VALL-E"),
    model="uslm.systems.valle.model:Valle",
    read_config=read_config,
    rules=rules,
    signature_keys=(r"ar_predict_layer\.weight", r"nar_predict_layers\.0\.weight"),
    source="https://github.com/0nutation/USLM",
    code_licence="not stated (setup.py: Apache-2.0; derived from lifeiteng/vall-e, Apache-2.0)",
    weights_licence="not stated",
)
