"""HiFi-GAN gives a hop of samples for each frame, and each depends on as many frames as it says."""

from __future__ import annotations

import pytest
import torch

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.hifigan import HiFiGAN, ResidualStack, ResidualStackConfig

STACKS = (
    ResidualStackConfig(kernel_size=3, dilations=(1, 2)),
    ResidualStackConfig(kernel_size=5, dilations=(1,), double=False),
)


def build() -> HiFiGAN:
    return HiFiGAN(4, 8, (5, 2), (11, 4), STACKS).eval()


def test_a_hop_for_each_frame_within_one() -> None:
    for t in (1, 7):
        waveform = build()(torch.randn(2, 4, t))
        assert waveform.shape == (2, 1, t * 10)
        assert bool((waveform.abs() <= 1).all())


def test_a_sample_depends_on_the_frames_it_says() -> None:
    network = build()
    reach, t = network.context_frames, 41
    latents = torch.randn(1, 4, t, requires_grad=True)
    frame = network(latents)[..., 20 * 10 : 21 * 10]
    seen = torch.autograd.grad(frame.sum(), latents)[0].abs().sum(dim=(0, 1)) > 0
    assert 20 - int(seen.nonzero().min()) == reach == int(seen.nonzero().max()) - 20


def test_every_weight_learns() -> None:
    network = build()
    network(torch.randn(1, 4, 5)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.abs().sum() > 0), name


@pytest.mark.parametrize("config", STACKS, ids=str)
def test_a_stack_keeps_the_shape_and_reaches_as_far_as_it_says(config: ResidualStackConfig) -> None:
    stack = ResidualStack(4, config).eval()
    x = torch.randn(1, 4, 41)
    changed = x.clone()
    changed[..., 20] += 1
    seen = (stack(x) - stack(changed)).abs().sum(dim=(0, 1)) > 0
    assert stack(x).shape == x.shape
    assert int(seen.nonzero().max()) - 20 == config.reach == 20 - int(seen.nonzero().min())


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ConfigError, match="kernel_size must be odd, but is 4"):
        ResidualStackConfig(kernel_size=4)
