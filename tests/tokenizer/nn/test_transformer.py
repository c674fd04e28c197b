"""The transformer: with a cache, in segments or padded, it says what one pass says."""

from __future__ import annotations

import pytest
import torch

from uslm_tokenizer.nn.attention import Rotary
from uslm_tokenizer.nn.transformer import Transformer, window_mask


@pytest.fixture
def stack() -> Transformer:
    return Transformer(dim=16, num_heads=2, num_layers=2).eval()


@pytest.mark.parametrize("segments", [[1] * 9, [4, 5], [3, 1, 1, 4]])
def test_segments_through_the_cache_equal_one_pass(stack: Transformer, segments: list[int]) -> None:
    x, positions = torch.randn(2, 9, 16), torch.arange(9.0).expand(2, -1)
    whole = stack(x, positions, causal=True)
    cache = stack.new_cache(2, 9)
    parts = [
        stack.extend(part, place, cache)
        for part, place in zip(x.split(segments, 1), positions.split(segments, 1), strict=True)
    ]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)
    assert cache.length == 9 and bool(cache.valid.all())


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_step_equals_an_extension_by_one(
    stack: Transformer, rows: int, dtype: torch.dtype
) -> None:
    stack.to(dtype)
    stepped, extended = stack.new_cache(rows, 6), stack.new_cache(rows, 6)
    close = {"atol": 1e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 0.06, "rtol": 0.06}
    for position in range(6):
        x = torch.randn(rows, 1, 16, dtype=dtype)
        with torch.no_grad():
            expected = stack.extend(x, torch.full((rows, 1), float(position)), extended)
            found = stack.step(x[:, 0], stepped)
        torch.testing.assert_close(found, expected[:, 0], **close)
    torch.testing.assert_close(stepped.stored, extended.stored, **close)
    assert stepped.length == extended.length == 6
    with pytest.raises(AssertionError, match="cache of 6 tokens is full"), torch.no_grad():
        stack.step(x[:, 0], stepped)


def test_steps_and_extensions_take_turns_in_any_mode(stack: Transformer) -> None:
    x, positions = torch.randn(2, 6, 16), torch.arange(6.0).expand(2, -1)
    whole = stack(x, positions, causal=True)
    cache = stack.new_cache(2, 6)
    with torch.inference_mode():
        stack.step(x[:, 0], cache)
    with torch.no_grad():
        stack.step(x[:, 1], cache)
        parts = stack.extend(x[:, 2:5], positions[:, 2:5], cache)
        last = stack.step(x[:, 5], cache)
    torch.testing.assert_close(torch.cat([parts, last[:, None]], dim=1), whole[:, 2:])


def test_left_padding_in_the_cache_changes_nothing(stack: Transformer) -> None:
    x = torch.randn(1, 5, 16)
    padded = torch.cat([torch.randn(1, 3, 16), x], dim=1)
    valid = torch.tensor([[False] * 3 + [True] * 5])
    positions = torch.arange(5.0)[None]
    padded_positions = torch.cat([torch.zeros(1, 3), positions], dim=1)
    alone, beside = stack.new_cache(1, 7), stack.new_cache(1, 10)
    expected = stack.extend(x, positions, alone)
    found = stack.extend(padded, padded_positions, beside, valid)[:, 3:]
    torch.testing.assert_close(found, expected)
    following = torch.randn(1, 1, 16)
    torch.testing.assert_close(
        stack.extend(following, torch.full((1, 1), 5.0), beside),
        stack.extend(following, torch.full((1, 1), 5.0), alone),
    )


def test_masked_positions_have_no_influence(stack: Transformer) -> None:
    x, positions = torch.randn(1, 6, 16), torch.arange(6.0)[None]
    mask = torch.tensor([[[[True] * 4 + [False] * 2]]])
    changed = x.clone()
    changed[:, 4:] = 100
    first, second = stack(x, positions, mask=mask), stack(changed, positions, mask=mask)
    torch.testing.assert_close(first[:, :4], second[:, :4])


def test_conditions_begin_as_one_network() -> None:
    stack = Transformer(16, 2, 2, condition_dim=4).eval()
    x, positions = torch.randn(1, 6, 16), torch.arange(6.0)[None]
    first = stack(x, positions, condition=torch.randn(1, 4))
    torch.testing.assert_close(first, stack(x, positions, condition=torch.randn(1, 4)))


def test_rotary_depends_on_distance_only() -> None:
    q, k = torch.randn(2, 1, 1, 1, 1, 8)

    def score(at: float, other: float) -> torch.Tensor:
        rotated = Rotary.at(torch.tensor([[at]]), 8).rotate(q)
        return (rotated * Rotary.at(torch.tensor([[other]]), 8).rotate(k)).sum()

    torch.testing.assert_close(score(3.0, 1.5), score(10.0, 8.5))
    torch.testing.assert_close(score(0.0, 0.0), (q * k).sum())


def test_a_full_cache_is_our_mistake(stack: Transformer) -> None:
    cache = stack.new_cache(1, 2)
    with pytest.raises(AssertionError, match="cache of 2 tokens is full"):
        stack.extend(torch.randn(1, 3, 16), torch.arange(3.0)[None], cache)


@pytest.mark.parametrize("segments", [[1] * 20, [3, 1, 7, 9], [5, 5, 5, 5]])
@pytest.mark.parametrize("capacity", [9, 12, 20])
def test_a_stream_with_a_window_goes_on_beyond_its_cache(
    stack: Transformer, segments: list[int], capacity: int
) -> None:
    """What is dropped of the cache is what nobody sees any more."""
    window = 4
    if max(segments) > capacity - window + 1:
        pytest.skip("a segment has to fit beside what it sees")
    x, positions = torch.randn(2, 20, 16), torch.arange(20.0).expand(2, -1)
    whole = stack(x, positions, mask=window_mask(20, window, x.device).expand(2, -1, -1, -1))
    cache = stack.new_cache(2, capacity, window)
    parts = [
        stack.extend(part, place, cache)
        for part, place in zip(x.split(segments, 1), positions.split(segments, 1), strict=True)
    ]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)
    assert not cache.is_plain  # a step of its own would see everything
    assert not torch.allclose(whole[:, window:], stack(x, positions, causal=True)[:, window:])
    torch.testing.assert_close(whole[:, :window], stack(x, positions, causal=True)[:, :window])
