"""Merged codes of VALL-E R (Han et al. 2024): neighbouring frames share the codes of some levels.

    codebook 0, merged by 2   a a b b c c      a language model of it takes half the steps
    codebook 1                d e f g h i      and codes what the merging lost, too

The residual that a merged level codes is pooled first, so that nothing has to be trained anew: a
residual stack whose config has a `merge` gives such codes, and decodes them as any others.
"""

from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.errors import UserError


def pool(latents: Float[Tensor, "b d t"], times: int) -> Float[Tensor, "b d n"]:
    """The mean of every `times` frames, the last of which may be fewer."""
    if times == 1:
        return latents
    missing = -latents.shape[2] % times
    whole = F.pad(latents, (0, missing)).unflatten(2, (-1, times)).sum(dim=3)  # type: ignore[no-untyped-call]
    counts = torch.full((whole.shape[2],), times, device=latents.device)
    counts[-1] -= missing
    return cast(Tensor, whole / counts)


def hold(codes: Int[Tensor, "b k n"], times: int, length: int) -> Int[Tensor, "b k t"]:
    """Each code `times` frames long, up to `length` frames in all."""
    return codes.repeat_interleave(times, dim=2)[..., :length]


def slow_codes(codes: Int[Tensor, "b k t"], times: int) -> Int[Tensor, "b k n"]:
    """Codes that `hold` was given: what a language model of merged codes reads and draws.

    Raises UserError if the codes are not merged so.
    """
    slow = codes[..., ::times]
    if not torch.equal(hold(slow, times, codes.shape[2]), codes):
        raise UserError(f"codes must be merged by {times}, but neighbours of a run differ")
    return slow
