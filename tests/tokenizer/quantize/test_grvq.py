"""Groups of channels are quantized apart, and residual levels of them are HiFi-Codec's codes."""

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.config import from_dict, to_dict
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.grvq import GroupedQuantizer, GroupedQuantizerConfig
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig

GROUPED = GroupedQuantizerConfig(
    group=VectorQuantizerConfig(
        dim=3, codebook_size=16, update="gradient", dead_share=0.0, count_use=False
    )
)


def latents(b: int = 3, t: int = 10, seed: int = 1) -> Tensor:
    return torch.randn(b, 6, t, generator=torch.Generator().manual_seed(seed))


def residual() -> ResidualQuantizer:
    torch.manual_seed(0)
    return ResidualQuantizer(ResidualQuantizerConfig(levels=(GROUPED, GROUPED), dropout=0.0))


def test_each_group_has_its_own_channels() -> None:
    torch.manual_seed(0)
    quantizer = GroupedQuantizer(GROUPED)
    x = latents()
    other = x.clone()
    other[:, 3:] = latents(seed=2)[:, 3:]
    one, two = quantizer(x), quantizer(other)
    assert torch.equal(one.codes[:, 0], two.codes[:, 0])
    assert torch.equal(one.latents[:, :3], two.latents[:, :3])
    assert not torch.equal(one.codes[:, 1], two.codes[:, 1])
    torch.testing.assert_close(one.commitment, (x - one.latents).square().mean())
    torch.testing.assert_close(one.loss, 2 * one.commitment)


def test_codes_are_ordered_by_level_then_group() -> None:
    rvq, x = residual().eval(), latents()
    out = rvq(x)
    assert rvq.num_codebooks == 4 and out.codes.shape == (3, 4, 10)
    first = rvq.levels[0].encode(x)
    second = rvq.levels[1].encode(x - rvq.levels[0].decode(first))
    assert torch.equal(rvq.encode(x), torch.cat([first, second], dim=1))
    assert torch.equal(out.codes, rvq.encode(x))
    torch.testing.assert_close(rvq.decode(out.codes), out.latents)
    assert torch.equal(rvq.encode(x, num_quantizers=1), first)
    torch.testing.assert_close(rvq.decode(first), rvq.decode(out.codes, num_quantizers=1))
    with pytest.raises(ValueError, match="num_quantizers must be at most 1"):
        rvq.decode(first, num_quantizers=2)


def test_every_codebook_and_the_input_learn() -> None:
    rvq, x = residual(), latents().requires_grad_()
    rvq(x).loss.backward()
    assert x.grad is not None and bool(x.grad.abs().sum() > 0)
    for name, parameter in rvq.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.abs().sum() > 0), name


def test_padding_has_no_influence() -> None:
    mask = torch.arange(10) < torch.tensor([10, 6, 3])[:, None]
    padded = [torch.where(mask[:, None], latents(), padding) for padding in (0.0, 7.0)]
    one, two = (residual()(x, mask).loss for x in padded)
    assert torch.equal(one, two)


def test_k_means_starts_every_codebook() -> None:
    rvq, x = residual().eval(), 5 + latents(8, 40)
    before = rvq(x).commitment
    rvq.initialize(x, generator=torch.Generator().manual_seed(0))
    assert rvq(x).commitment < 0.1 * before


def test_config() -> None:
    config = residual().config
    assert from_dict(ResidualQuantizerConfig, to_dict(config)) == config
    with pytest.raises(ConfigError, match="num_groups"):
        GroupedQuantizerConfig(group=GROUPED.group, num_groups=0)
    plain = VectorQuantizerConfig(dim=6, codebook_size=16)
    with pytest.raises(ConfigError, match="num_codebooks"):
        ResidualQuantizerConfig(levels=(GROUPED, plain))
