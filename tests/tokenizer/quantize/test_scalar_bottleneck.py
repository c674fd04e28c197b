"""The scalar bottleneck: its grid, what gets through, and its gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.scalar_bottleneck import ScalarBottleneck


def build(scale: int | None) -> ScalarBottleneck:
    torch.manual_seed(0)
    return ScalarBottleneck(16, 8, scale)


def hidden(n: int = 500) -> Tensor:
    return 3 * torch.randn(n, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("scale", [1, 4, 9])
def test_values_lie_on_two_scale_plus_one_levels(scale: int) -> None:
    found = build(scale).grid(hidden()).detach()
    steps = found * scale
    assert torch.equal(steps, steps.round()) or torch.allclose(steps, steps.round(), atol=1e-5)
    assert len((found * scale).round().unique()) == 2 * scale + 1
    assert float(found.abs().max()) == 1.0


def test_training_and_use_are_the_same() -> None:
    bottleneck = build(9)
    assert torch.equal(bottleneck.train()(hidden()), bottleneck.eval()(hidden()))


def test_the_gradient_passes_as_if_nothing_was_rounded() -> None:
    rounded, free = build(2), build(None)
    gradients = []
    for each in (rounded, free):
        x = hidden(5).requires_grad_()
        each.grid(x).sum().backward()  # type: ignore[no-untyped-call]
        gradients.append(x.grad)
    assert float(gradients[0].abs().sum()) > 0
    torch.testing.assert_close(*gradients)


def test_without_a_scale_small_differences_get_through() -> None:
    x = hidden(50)
    small = x + 1e-4 * torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    same = [torch.equal(each.grid(x), each.grid(small)) for each in (build(1), build(None))]
    assert same == [True, False]


def test_a_scale_of_nothing() -> None:
    with pytest.raises(ConfigError, match="scale of a bottleneck must be 1 or more, but is 0"):
        build(0)
