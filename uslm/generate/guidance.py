"""Classifier-free guidance: away from what a model makes without condition or prompt."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def guide(
    given: Sequence[Float[Tensor, "_ c"]],
    free: Sequence[Float[Tensor, "_ c"]],
    *,
    guidance: float,
    rescale: float,
    whole_batch: bool = False,
) -> list[Float[Tensor, "_ c"]]:
    """Each row of `given`, driven away from `free` (Ho & Salimans 2022), and brought back in size.

    `rescale` is how much of the growth is taken back (Lin et al. 2024). With `whole_batch` the
    growth is measured over all rows together: then each depends on those beside it.
    """
    driven = [g + guidance * (g - f) for g, f in zip(given, free, strict=True)]
    growth = [g.std() / d.std() for g, d in zip(given, driven, strict=True)]
    if whole_batch:
        growth = [torch.cat(list(given)).std() / torch.cat(driven).std()] * len(driven)
    return [rescale * d * size + (1 - rescale) * d for d, size in zip(driven, growth, strict=True)]
