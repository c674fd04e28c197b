"""Exponential moving average of a model's weights: what is validated and shipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from uslm_recipes.loop.sharding import part_like
from uslm_tokenizer.errors import UserError


class Ema:
    """Averages of the trainable parameters in float32; buffers stay those of the model."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise UserError(f"ema_decay must be in [0, 1), but is {decay}")
        self.decay = decay
        self._parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._averages = {n: p.detach().float().clone() for n, p in self._parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the averages towards the weights after optimizer step number `step`."""
        decay = min(self.decay, (1 + step) / (10 + step))  # the first weights are soon forgotten
        weights = [parameter.detach().float() for parameter in self._parameters.values()]
        torch._foreach_lerp_(list(self._averages.values()), weights, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the model has the averaged weights; afterwards its own again."""
        own = {name: p.detach().clone() for name, p in self._parameters.items()}
        self.copy_to_model()
        try:
            yield
        finally:
            _copy(own, self._parameters)

    def copy_to_model(self) -> None:
        """Put the averages into the model for good."""
        _copy(self._averages, self._parameters)

    def state_dict(self) -> dict[str, Tensor]:
        """The averages by parameter name."""
        return dict(self._averages)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over saved averages."""
        if state.keys() != self._averages.keys():
            odd = sorted(state.keys() ^ self._averages.keys())
            raise UserError(f"averaged weights do not fit the model: {odd[:3]}")
        _copy({n: part_like(state[n], own) for n, own in self._averages.items()}, self._averages)


@torch.no_grad()
def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    for name, tensor in target.items():
        tensor.copy_(source[name])
