"""Classifier-free guidance: away from what a model makes without condition or prompt."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.errors import UserError


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


def zero_star(
    given: Float[Tensor, "b t c"], free: Float[Tensor, "b t c"] | None, *, scale: float
) -> Float[Tensor, "b t c"]:
    """`given`, driven away from as much of `free` as lies in it: free + scale * (given - free) with
    free scaled by <given, free> / |free|^2 in each row (CFG-Zero*; Fan et al. 2025), which
    keeps a network that is not yet right from being driven by the difference in size alone.

    A scale of 1 is no guidance; UserError where there is one, and nothing to be driven away from.
    """
    if scale == 1:
        return given
    free = _there(free, scale)
    rows, others = given.flatten(1).float(), free.flatten(1).float()
    share = (rows * others).sum(dim=1) / others.square().sum(dim=1).clamp(min=1e-8)
    base = share[:, None, None].to(free) * free
    return base + scale * (given - base)


def classifier_free(
    given: Float[Tensor, "b t c"], free: Float[Tensor, "b t c"] | None, *, scale: float
) -> Float[Tensor, "b t c"]:
    """free + scale * (given - free) (Ho & Salimans 2022); errors and a scale of 1 as above."""
    if scale == 1:
        return given
    base = _there(free, scale)
    return base + scale * (given - base)


def _there(free: Float[Tensor, "b t c"] | None, scale: float) -> Float[Tensor, "b t c"]:
    if free is None:
        raise UserError(
            f"the guidance scale must be 1 for a model without a null condition, but is {scale:g}"
        )
    return free
