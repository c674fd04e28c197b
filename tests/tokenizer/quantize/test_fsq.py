"""Finite scalar quantization: the index arithmetic is a bijection, the range is kept."""

import pytest
import torch

from uslm_tokenizer.config import from_dict, to_dict
from uslm_tokenizer.quantize.fsq import FiniteScalarQuantizer, FiniteScalarQuantizerConfig

every_shape = pytest.mark.parametrize("levels", [(8, 5, 5, 5), (3,), (7, 2, 4)])


def build(levels: tuple[int, ...]) -> FiniteScalarQuantizer:
    return FiniteScalarQuantizer(FiniteScalarQuantizerConfig(levels=levels))


@every_shape
def test_codes_and_digits_are_one_to_one(levels: tuple[int, ...]) -> None:
    fsq = build(levels)
    codes = torch.arange(fsq.codebook_size)
    digits = fsq.codes_to_digits(codes)
    assert torch.equal(fsq.digits_to_codes(digits), codes)
    assert len(digits.unique(dim=0)) == len(codes)
    assert (digits >= 0).all() and (digits < torch.tensor(levels)).all()


def test_index_arithmetic_by_hand() -> None:
    digits = torch.tensor([[7, 4, 0, 2]])
    assert build((8, 5, 5, 5)).digits_to_codes(digits).item() == 7 + 8 * 4 + 8 * 5 * 0 + 200 * 2


@every_shape
def test_every_digit_can_be_reached(levels: tuple[int, ...]) -> None:
    fsq = build(levels)
    latents = torch.linspace(-8, 8, 500).expand(1, len(levels), -1)
    out = fsq(latents)
    digits = fsq.codes_to_digits(out.codes[0, 0])
    for channel, number in enumerate(levels):
        assert digits[:, channel].unique().tolist() == list(range(number))
    assert out.latents.abs().max() <= 1
    assert torch.equal(fsq.encode(latents), out.codes)
    torch.testing.assert_close(fsq.decode(out.codes), out.latents)


def test_extremes_reach_the_ends_and_zero_the_middle() -> None:
    fsq = build((8, 5))
    assert fsq.codes_to_digits(fsq.encode(torch.full((1, 2, 1), 50.0))).tolist() == [[[[7, 4]]]]
    assert fsq.codes_to_digits(fsq.encode(torch.full((1, 2, 1), -50.0))).tolist() == [[[[0, 0]]]]
    assert fsq(torch.zeros(1, 2, 1)).latents.abs().max() < 1e-6


def test_gradient_is_that_of_the_squashing() -> None:
    fsq = build((5, 5))
    latents = torch.randn(1, 2, 9, requires_grad=True)
    fsq(latents).latents.sum().backward()
    expected = (1 - latents.detach().tanh().square()) * 2.002 / 2
    torch.testing.assert_close(latents.grad, expected)


def test_config_returns() -> None:
    config = FiniteScalarQuantizerConfig(levels=(7, 2))
    assert from_dict(FiniteScalarQuantizerConfig, to_dict(config)) == config
    with pytest.raises(ValueError, match="levels"):
        FiniteScalarQuantizerConfig(levels=(5, 1))
