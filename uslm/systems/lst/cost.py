"""Operations of a patch model, counted: its matrices, and its attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uslm.systems.lst.model import PatchLMConfig


def patch_lm_flops(config: PatchLMConfig, num_tokens: int, num_patches: int) -> float:
    """Floating-point operations of one row read once, two for each multiply-add.

    Attention counts what is looked at: a window of tokens, all patches before, the whole ones.
    Norms and the table of embeddings cost next to nothing.
    """
    local, wide = config.local_dim, config.dim
    per_token = (config.num_encoder_layers + config.num_decoder_layers) * _block(local)
    window = min(config.window, num_tokens)
    attended = (config.num_encoder_layers + config.num_decoder_layers) * 2 * window * local
    logits = config.num_ids * local
    looked = config.num_decoder_layers * (
        2 * local * local + _feed_forward(local) + 2 * local * num_patches / 2
    )
    at_tokens = per_token + attended + logits + looked + 2 * local * local  # pooled keys, values
    at_patches = (
        2 * local * local + _feed_forward(local) + local * wide
        + config.num_layers * (_block(wide) + 2 * wide * num_patches / 2)
        + config.num_decoder_layers * 2 * wide * local
    )  # fmt: skip
    if not config.use_global:
        at_patches = 0.0
    return 2.0 * (num_tokens * at_tokens + num_patches * at_patches)


def _block(dim: int) -> int:
    """Weights of one transformer block."""
    return 4 * dim * dim + _feed_forward(dim)


def _feed_forward(dim: int) -> int:
    return 3 * dim * max(64, int(dim * 8 / 3) // 64 * 64)
