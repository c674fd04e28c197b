"""Drift is what noise in the history does to what follows, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from uslm.evaluation.metrics.drift import Continuation, DriftConfig, drift
from uslm_tokenizer.errors import ConfigError, UserError

STEPS, ROWS = 4, 600
NOISE = DriftConfig(noisy_steps=1, noise=0.5)


def echo(gain: float) -> Continuation:
    """A model whose next step is the last one times a gain, and noise of its own."""

    def go_on(history: Tensor, draw: torch.Generator) -> Tensor:
        made = [history[:, -1]]
        for _ in range(STEPS):
            made.append(gain * made[-1] + torch.randn(made[-1].shape, generator=draw))
        return torch.stack(made[1:], dim=1)

    return go_on


def history() -> Tensor:
    return torch.randn(ROWS, 5, 3, generator=torch.Generator().manual_seed(7))


def test_it_is_the_noise_as_far_as_the_model_carries_it() -> None:
    found = drift(echo(0.5), history(), NOISE, seed=0)
    assert found.shape == (ROWS, STEPS)
    wanted = 0.5**2 * 0.5 ** (2.0 * torch.arange(1, STEPS + 1))  # by steps, of linear models
    torch.testing.assert_close(found.mean(0), wanted, rtol=0.08, atol=0)


def test_errors_that_add_up_grow_from_step_to_step() -> None:
    found = drift(echo(1.2), history(), NOISE, seed=0)
    assert bool((found.diff(dim=1) > 0).all())


def test_a_model_that_forgets_its_history_does_not_drift() -> None:
    """Both continuations draw the same noise: else this one's own would count."""
    found = drift(echo(0.0), history(), NOISE, seed=0)
    assert bool((found == 0).all())


def test_noise_lies_in_the_last_steps_alone_and_is_the_same_for_every_model() -> None:
    seen: list[Tensor] = []

    def go_on(each: Tensor, draw: torch.Generator) -> Tensor:
        seen.append(each)
        return each[:, :1]

    for _ in range(2):
        drift(go_on, history(), DriftConfig(noisy_steps=2, noise=0.1), seed=3)
    clean, noisy, _, again = seen
    assert torch.equal(clean, history()) and torch.equal(noisy[:, :3], clean[:, :3])
    assert float((noisy - clean)[:, 3:].std()) == pytest.approx(0.1, rel=0.1)
    assert torch.equal(noisy, again)


@pytest.mark.parametrize(
    ("name", "value", "wanted"), [("noisy_steps", 0, "1 or more"), ("noise", 0.0, "above 0")]
)
def test_a_noise_that_is_none_is_refused(name: str, value: float, wanted: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be {wanted}, but is {value}"):
        DriftConfig(**{name: value})  # type: ignore[arg-type]


def test_a_history_shorter_than_the_noise_is_refused() -> None:
    with pytest.raises(UserError, match=r"3 steps or more.*but is \[600, 2, 3\]"):
        drift(echo(0.5), history()[:, :2], DriftConfig(), seed=0)
