"""Bootstrap intervals of means."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean and the interval that it would fall into with other samples of the same kind."""

    value: float
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    count: int
    """Samples that it is the mean of."""


def estimate(
    totals: Sequence[float | int],
    sizes: Sequence[float | int] | None = None,
    *,
    generator: torch.Generator,
    level: float = 0.95,
    resamples: int = 2000,
) -> Estimate:
    """The sum of `totals` over the sum of `sizes`, with its bootstrap interval.

    Without `sizes` it is the mean. Errors and words of each utterance give the error rate of the
    whole; an interval is drawn over utterances, so few of them make it wide.
    """
    if not totals:
        raise ValueError("totals must not be empty")
    above = torch.tensor(totals, dtype=torch.float64)
    below = torch.ones_like(above) if sizes is None else torch.tensor(sizes, dtype=torch.float64)
    if len(above) != len(below) or not bool((below > 0).all()):
        raise ValueError("sizes must be above 0, one for each of the totals")
    drawn = torch.randint(len(above), (resamples, len(above)), generator=generator)
    means = above[drawn].sum(1) / below[drawn].sum(1)
    tail = (1 - level) / 2
    return Estimate(
        value=float(above.sum() / below.sum()),
        low=float(means.quantile(tail)),
        high=float(means.quantile(1 - tail)),
        count=len(above),
    )
