"""The first levels see a share of the channels each, the others what those leave together."""

from __future__ import annotations

import pytest
import torch

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.mcrvq import MaskedChannelQuantizer, MaskedChannelQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig

LEVEL = VectorQuantizerConfig(dim=7, codebook_size=16)


def quantizer(num_levels: int = 5) -> MaskedChannelQuantizer:
    config = MaskedChannelQuantizerConfig(levels=(LEVEL,) * num_levels)
    return MaskedChannelQuantizer(config).eval()


def test_codes_are_those_of_the_definition() -> None:
    stack = quantizer()
    latents = torch.randn(2, 7, 20)
    codes = stack.encode(latents)
    residual = latents.clone()
    for index, share in enumerate([slice(0, 2), slice(2, 4), slice(4, 7)]):
        alone = torch.zeros_like(latents)
        alone[:, share] = latents[:, share]
        assert torch.equal(stack.levels[index].encode(alone), codes[:, index : index + 1])  # type: ignore[operator]
        residual -= stack.levels[index].decode(codes[:, index : index + 1])  # type: ignore[operator]
    for index in (3, 4):
        assert torch.equal(stack.levels[index].encode(residual), codes[:, index : index + 1])  # type: ignore[operator]
        residual -= stack.levels[index].decode(codes[:, index : index + 1])  # type: ignore[operator]
    torch.testing.assert_close(stack.decode(codes), latents - residual)
    quantized = stack(latents)
    assert torch.equal(quantized.codes, codes)
    torch.testing.assert_close(quantized.latents, latents - residual)


def test_a_share_is_all_that_a_first_level_sees() -> None:
    stack = quantizer()
    latents = torch.randn(1, 7, 50)
    codes = stack.encode(latents)
    latents[:, 2:4] = torch.randn(1, 2, 50)
    changed = stack.encode(latents) != codes
    assert not changed[:, [0, 2]].any() and changed[:, 1].any() and changed[:, 3].any()


def test_training_keeps_all_first_levels_and_hands_the_gradient_on() -> None:
    stack = quantizer(num_levels=4).train()
    latents = torch.randn(8, 7, 10, requires_grad=True)
    generator = torch.Generator().manual_seed(0)
    stack.initialize(latents.detach(), generator=generator)
    quantized = stack(latents, generator=generator)
    first = quantized.latents - sum(quantized.levels[:3])
    dropped = (first.abs() < 1e-5).flatten(1).all(1)
    assert bool(dropped.any()) and not bool(dropped.all())
    quantized.latents.sum().backward()
    assert latents.grad is not None
    torch.testing.assert_close(latents.grad, torch.ones_like(latents))


def test_learning_brings_the_codes_nearer() -> None:
    stack = quantizer().train()
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(4, 7, 50, generator=generator)
    losses = [stack(latents, generator=generator, num_quantizers=5).commitment for _ in range(60)]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("num_parallel", [0, 4])
def test_a_share_for_nobody_is_refused(num_parallel: int) -> None:
    with pytest.raises(ConfigError, match=f"num_parallel must .* but is {num_parallel}"):
        MaskedChannelQuantizerConfig(levels=(LEVEL,) * 5, num_parallel=num_parallel)
