"""Drift: how far speech that goes on after a noisy history is from speech after a clean one."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.errors import ConfigError, UserError

Continuation = Callable[[Float[Tensor, "b h *f"], torch.Generator], Float[Tensor, "b n *f"]]
"""A history of h steps and what draws noise -> the n steps that a model makes after it."""


@dataclass(frozen=True, kw_only=True)
class DriftConfig:
    """The noise in the history."""

    noisy_steps: int = 3
    """Last steps of the history that noise is added to."""
    noise: float = 0.5
    """Deviation of that noise, in the unit of the history."""

    def __post_init__(self) -> None:
        if self.noisy_steps < 1:
            raise ConfigError(f"noisy_steps must be 1 or more, but is {self.noisy_steps}")
        if not self.noise > 0:
            raise ConfigError(f"noise must be above 0, but is {self.noise}")


@torch.no_grad()
def drift(
    go_on: Continuation, history: Float[Tensor, "b h *f"], config: DriftConfig, *, seed: int
) -> Float[Tensor, "b n"]:
    """Mean squared distance at each step that follows; it grows along a row if errors add up.

    Both continuations draw the same noise, so a model that does not look at its history has none.
    The noise in the history depends on the seed and the shape alone: models of one kind of frames
    are disturbed alike. UserError if the history is shorter than the noise.
    """
    if history.ndim < 2 or history.shape[1] < config.noisy_steps:
        raise UserError(
            f"the history must have {config.noisy_steps} steps or more, those that become noisy, "
            f"but is {list(history.shape)}"
        )
    last = history[:, -config.noisy_steps :]
    added = torch.randn(last.shape, generator=torch.Generator().manual_seed(seed)).to(last)
    noisy = torch.cat([history[:, : -config.noisy_steps], last + config.noise * added], dim=1)
    after_clean, after_noisy = (
        go_on(each, torch.Generator().manual_seed(seed + 1)) for each in (history, noisy)
    )
    return (after_clean - after_noisy).float().square().flatten(2).mean(2)
