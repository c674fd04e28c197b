"""The depth transformer is causal over its steps, and a step at a time equals all at once."""

from __future__ import annotations

import pytest
import torch

from uslm_tokenizer.nn.depth import DepthTransformer


@pytest.fixture
def depth() -> DepthTransformer:
    torch.manual_seed(0)
    return DepthTransformer(5, 16, 2, 2).eval()


@pytest.mark.parametrize("step", range(5))
def test_nothing_depends_on_later_steps(depth: DepthTransformer, step: int) -> None:
    before = torch.randn(3, 5, 16)
    after = before.clone()
    after[:, step] += 1
    one, other = depth(before), depth(after)
    assert torch.equal(one[:, :step], other[:, :step])
    changed = (one != other).any(dim=2).all(dim=0)
    assert bool(changed[step:].all())


@pytest.mark.parametrize("segments", [[1] * 5, [2, 3]])
def test_steps_with_a_cache_equal_the_whole(depth: DepthTransformer, segments: list[int]) -> None:
    x = torch.randn(3, 5, 16)
    cache = depth.new_cache(3)
    parts = [depth(part, cache) for part in x.split(segments, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), depth(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(depth(x[1:2])[0], depth(x)[1])


def test_each_step_has_weights_of_its_own(depth: DepthTransformer) -> None:
    x = torch.randn(1, 1, 16).expand(-1, 5, -1)
    made = depth(x)[0]
    assert not any(torch.allclose(made[i], made[j]) for i in range(5) for j in range(i))
    depth(x)[0, 0].sum().backward()
    grad = depth.blocks[0].qkv.weight.grad
    assert bool(grad[0].abs().sum() > 0) and not bool(grad[1:].any())
