"""Names of LLaMA's tensors in pretrained checkpoints: transformers' own, as ours."""

from uslm_tokenizer.pretrained.key_mapping import Concat, Ignore, Rename

NORMS = {"input_layernorm": "attention_norm", "post_attention_layernorm": "feed_forward_norm"}
MLPS = {
    "diff_step_mlp": "time_mlp",
    "cond_mlp": "condition_mlp",
    "mel_mlp": "input_mlp",
    "mel_out_mlp": "output_mlp",
}


def llama_rules(
    theirs: str, ours: str, *, adaptive: bool = False
) -> tuple[Rename | Concat | Ignore, ...]:
    """A stack of blocks, a regular expression `theirs`, as a `Llama` named `ours`.

    `adaptive` is for norms whose scales follow a condition.
    """
    layer, block = rf"{theirs}\.layers\.(\d+)", rf"{ours}.blocks.\1"
    scale, ours_scale = (r"to_weight\.(weight|bias)", "to_scale.") if adaptive else ("weight", "")
    last = rf"{ours_scale}\g<2>" if adaptive else "weight"
    final = rf"{ours_scale}\g<1>" if adaptive else "weight"
    return (
        Concat(
            rf"{layer}\.self_attn\.(?P<part>[qkv])_proj\.weight",
            rf"{block}.attention.qkv.weight",
            ("q", "k", "v"),
        ),
        Rename(rf"{layer}\.self_attn\.o_proj\.weight", rf"{block}.attention.out.weight"),
        Concat(
            rf"{layer}\.mlp\.(?P<part>gate|up)_proj\.weight",
            rf"{block}.feed_forward.up.weight",
            ("gate", "up"),
        ),
        Rename(rf"{layer}\.mlp\.down_proj\.weight", rf"{block}.feed_forward.down.weight"),
        *(Rename(rf"{layer}\.{a}\.{scale}", rf"{block}.{b}.{last}") for a, b in NORMS.items()),
        Rename(rf"{theirs}\.norm\.{scale}", rf"{ours}.norm.{final}"),
        Ignore(rf"{theirs}\..*rotary_emb\.inv_freq", "follows from the width of a head"),
    )


def diffusion_llama_rules(theirs: str, ours: str) -> tuple[Rename | Concat | Ignore, ...]:
    """Amphion's DiffLlama, a regular expression `theirs`, as a `DiffusionLlama` named `ours`."""
    return (
        *llama_rules(theirs, rf"{ours}.transformer", adaptive=True),
        *(Rename(rf"{theirs}\.{a}\.([02]\..*)", rf"{ours}.{b}.\1") for a, b in MLPS.items()),
    )
