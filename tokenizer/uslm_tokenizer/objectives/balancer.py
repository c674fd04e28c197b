"""Balance losses by their gradients, so that a weight is the share a loss has in the update.

EnCodec, arXiv 2210.13438, section 3.4 "Balancer". The package `encodec` on PyPI (0.1.1) does not
contain its authors' balancer; this one gives the same gradients, and its averages can be saved.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Balancer(nn.Module):
    """In place of `sum(losses).backward()`, for losses of one model output.

    Each loss's gradient at the output is divided by the running mean of its norm and given its
    weight's share of `total_norm`:

        grad = sum_i  total_norm * w_i / sum_j w_j * g_i / <|g_i|>

    A module for its averages' sake, which a checkpoint has to keep.
    """

    norm_sums: Tensor
    norm_counts: Tensor

    def __init__(
        self, weights: Mapping[str, float], *, total_norm: float = 1.0, decay: float = 0.999
    ) -> None:
        super().__init__()
        self.weights = dict(weights)
        self.total_norm = total_norm
        self.decay = decay
        for name in ("norm_sums", "norm_counts"):
            self.register_buffer(name, torch.zeros(len(self.weights)))

    def forward(
        self, losses: Mapping[str, Float[Tensor, ""]], output: Float[Tensor, "b 1 n"]
    ) -> Float[Tensor, ""]:
        """A loss whose gradient at `output` is the balanced one; its value is the weighted sum.

        `output` must be part of the graph of each loss. Losses that do not pass through it
        (a commitment loss) are added as they are.
        """
        unknown = sorted(losses.keys() - self.weights.keys())
        if unknown:
            raise ValueError(f"no weight for {unknown}; there are {sorted(self.weights)}")
        total_weight = sum(self.weights[name] for name in losses)
        balanced = torch.zeros_like(output)
        for name, loss in losses.items():
            (gradient,) = torch.autograd.grad(loss, [output], retain_graph=True)
            share = self.total_norm * self.weights[name] / total_weight
            balanced += gradient * (share / (self._mean_norm(name, gradient) + 1e-12))
        value = torch.stack([self.weights[name] * loss.detach() for name, loss in losses.items()])
        return value.sum() + ((output - output.detach()) * balanced).sum()

    def _mean_norm(self, name: str, gradient: Tensor) -> Tensor:
        """The running mean of the norm of one row's gradient, unbiased from the first step on."""
        place = list(self.weights).index(name)
        norm = gradient.detach().float().flatten(1).norm(dim=1).mean()
        self.norm_sums[place] = self.decay * self.norm_sums[place] + norm
        self.norm_counts[place] = self.decay * self.norm_counts[place] + 1.0
        return self.norm_sums[place] / self.norm_counts[place]
