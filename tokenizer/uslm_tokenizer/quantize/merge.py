"""Merged codes of VALL-E R (Han et al. 2024): neighbouring frames share the codes of some levels.

    codebook 0, merged by 2   a a b b c c      a language model of it takes half the steps
    codebook 1                d e f g h i      and codes what the merging lost, too

The residual that a merged level codes is pooled first, so that nothing has to be trained anew.
"""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.errors import UserError
from uslm_tokenizer.quantize.base import Quantizer
from uslm_tokenizer.quantize.rvq import ResidualQuantizer


@torch.no_grad()
def encode_merged(
    quantizer: ResidualQuantizer, latents: Float[Tensor, "b d t"], merge: Sequence[int]
) -> Int[Tensor, "b k t"]:
    """Codes of all levels, those of level i in runs of `merge[i]` frames; the last run of a row may
    be shorter. `decode` takes them as any others.

    Raises UserError unless there is a number, 1 or more, for each level.
    """
    if len(merge) != len(quantizer.levels) or min(merge) < 1:
        raise UserError(
            f"merge must be {len(quantizer.levels)} numbers of 1 or more, one for each level, "
            f"but is {list(merge)}"
        )
    residual, codes = latents.float(), []
    for times, module in zip(merge, quantizer.levels, strict=True):
        level = cast(Quantizer, module)
        codes.append(hold(level.encode(pool(residual, times)), times, latents.shape[2]))
        residual = residual - level.decode(codes[-1])
    return torch.cat(codes, dim=1)


def pool(latents: Float[Tensor, "b d t"], times: int) -> Float[Tensor, "b d n"]:
    """The mean of every `times` frames, the last of which may be fewer."""
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
