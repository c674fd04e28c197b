"""The codebooks of groups as one: the most used codes of each, in all their combinations.

SimCodec, of GenSE (Yao et al. 2025): a codec is trained with a codebook for each half of its
channels; then the codes of each half that are used most are kept, and all pairs of them are the
entries of a single codebook, with which the training goes on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import prod
from typing import cast

import torch
from jaxtyping import Int
from torch import Tensor

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.grvq import GroupedQuantizer
from uslm_tokenizer.quantize.vq import VectorQuantizer


def count_use(
    codes: Iterable[Int[Tensor, "_b groups _t"]], codebook_size: int
) -> Int[Tensor, "groups v"]:
    """Number of times that each code of each group occurs. ConfigError where there are none."""
    counts = [
        torch.stack([torch.bincount(row.flatten(), minlength=codebook_size) for row in some])
        for some in (each.cpu().transpose(0, 1) for each in codes)
    ]
    if not counts:
        raise ConfigError("there are no codes whose use could be counted")
    return torch.stack(counts).sum(0)


@torch.no_grad()
def paired(
    quantizer: GroupedQuantizer, use: Int[Tensor, "groups v"], kept: Sequence[int]
) -> VectorQuantizer:
    """One codebook of all combinations of the `kept[g]` most used codes of each group g.

    Code i of it stands for the places of i among the kept ones, the last group's counting fastest.
    """
    size, groups = quantizer.codebook_size, cast(list[VectorQuantizer], list(quantizer.groups))
    if len(kept) != len(groups) or not all(1 <= count <= size for count in kept):
        raise ConfigError(
            f"kept must be {len(groups)} numbers from 1 to {size}, one for each group of the "
            f"codec, but is {list(kept)}"
        )
    chosen = []
    for group, counts, count in zip(groups, use, kept, strict=True):
        # Stable, so that codes of equal use are kept in order.
        best = counts.sort(descending=True, stable=True).indices[:count]
        chosen.append(group.decode(best[None, None].to(group.embedding.device))[0].T)
    places = torch.cartesian_prod(*(torch.arange(count) for count in kept)).reshape(-1, len(kept))
    codes = torch.cat([part[places[:, g].to(part.device)] for g, part in enumerate(chosen)], dim=1)
    config = replace(
        quantizer.config.group,
        dim=quantizer.config.dim,
        codebook_size=prod(kept),
        delayed_init=False,
    )
    joined = VectorQuantizer(config).to(codes.device)
    joined.embedding.copy_(codes)
    if config.update == "ema":
        joined.running_sum.copy_(codes)  # of clusters of one frame each
    return joined
