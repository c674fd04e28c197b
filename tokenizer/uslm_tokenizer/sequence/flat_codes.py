"""Codes of several codebooks as one sequence of tokens, frame after frame.

    codes [k, t]     a0 a1 a2
                     b0 b1 b2
    tokens [t * k]   a0 B0 a1 B1 a2 B2      B = b + codebook_size

Each codebook has ids of its own. It is how a language model of one stream writes codes
(AudioLM, Make-A-Voice).
"""

import torch
from jaxtyping import Int
from torch import Tensor

from uslm_tokenizer.errors import UserError


def flatten_codes(codes: Int[Tensor, "k t"], codebook_size: int) -> Int[Tensor, " n"]:
    """The tokens, n = k * t."""
    first = codebook_size * torch.arange(len(codes), device=codes.device)
    return (codes + first[:, None]).T.flatten()


def unflatten_codes(
    tokens: Int[Tensor, " n"], num_codebooks: int, codebook_size: int
) -> Int[Tensor, "k t"]:
    """The codes of the tokens; UserError unless they are whole frames, each codebook in its
    turn."""
    if len(tokens) % num_codebooks:
        raise UserError(
            f"{len(tokens)} tokens are not whole frames of {num_codebooks} codebooks each"
        )
    frames = tokens.reshape(-1, num_codebooks).T
    codes = frames - codebook_size * torch.arange(num_codebooks, device=tokens.device)[:, None]
    if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < codebook_size:
        raise UserError(f"tokens must be of {num_codebooks} codebooks in turn, but are not")
    return codes
