"""Balance losses by their gradients, so that a weight is the share a loss has in the update.

EnCodec, arXiv 2210.13438, section 3.4 "Balancer". The package `encodec` on PyPI (0.1.1) does not
contain its authors' balancer; this one gives the same gradients, and its averages can be saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


class Balancer:
    """Replaces `sum(losses).backward()` for losses of one model output.

    Each loss's gradient at the output is divided by the running mean of its norm and given its
    weight's share of `total_norm`:

        grad = sum_i  total_norm * w_i / sum_j w_j * g_i / <|g_i|>
    """

    def __init__(
        self, weights: Mapping[str, float], *, total_norm: float = 1.0, decay: float = 0.999
    ) -> None:
        self.weights = dict(weights)
        self.total_norm = total_norm
        self.decay = decay
        self.norm_sums = dict.fromkeys(weights, 0.0)
        self.norm_counts = dict.fromkeys(weights, 0.0)

    def backward(
        self, losses: Mapping[str, Float[Tensor, ""]], output: Float[Tensor, "b 1 n"]
    ) -> dict[str, float]:
        """Back-propagate the balanced losses through `output`; returns each gradient's mean norm.

        `output` must be part of the graph of each loss. Losses that do not pass through it
        (a commitment loss) are left to an ordinary `backward`.
        """
        unknown = sorted(losses.keys() - self.weights.keys())
        if unknown:
            raise ValueError(f"no weight for {unknown}; there are {sorted(self.weights)}")
        total_weight = sum(self.weights[name] for name in losses)
        balanced = torch.zeros_like(output)
        norms = {}
        for name, loss in losses.items():
            (gradient,) = torch.autograd.grad(loss, [output], retain_graph=True)
            norms[name] = self._mean_norm(name, gradient)
            share = self.total_norm * self.weights[name] / total_weight
            balanced += gradient * (share / (norms[name] + 1e-12))
        output.backward(balanced)  # type: ignore[no-untyped-call]
        return norms

    def _mean_norm(self, name: str, gradient: Tensor) -> float:
        """The running mean of the norm of one row's gradient, unbiased from the first step on."""
        norm = float(gradient.flatten(1).norm(dim=1).mean())
        self.norm_sums[name] = self.decay * self.norm_sums[name] + norm
        self.norm_counts[name] = self.decay * self.norm_counts[name] + 1.0
        return self.norm_sums[name] / self.norm_counts[name]

    def state_dict(self) -> dict[str, Any]:
        return {"norm_sums": dict(self.norm_sums), "norm_counts": dict(self.norm_counts)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.norm_sums = dict(state["norm_sums"])
        self.norm_counts = dict(state["norm_counts"])
