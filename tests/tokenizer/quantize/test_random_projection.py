"""Random projection: drawn by its seed alone, the same codes whatever the scale of the features."""

import pytest
import torch

from uslm_tokenizer.config import from_dict, to_dict
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.quantize.random_projection import RandomProjection, RandomProjectionConfig

CONFIG = RandomProjectionConfig(dim=12, codebook_size=20, code_dim=4, seed=3)


def frames(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 12, 50, generator=torch.Generator().manual_seed(seed))


def build(seed: int) -> RandomProjection:
    torch.manual_seed(seed)  # which must not matter
    return RandomProjection(CONFIG)


def test_the_seed_of_the_config_decides() -> None:
    one, two = build(0), build(1)
    assert torch.equal(one.encode(frames()), two.encode(frames()))
    other = RandomProjection(RandomProjectionConfig(dim=12, codebook_size=20, code_dim=4, seed=4))
    assert not torch.equal(one.encode(frames()), other.encode(frames()))
    assert not list(one.parameters())


def test_scale_and_offset_of_the_features_do_not_count() -> None:
    one, two = build(0), build(0)
    moved = 7.0 * frames() - 3.0
    one.initialize(frames())
    two.initialize(moved)
    assert (one.encode(frames()) == two.encode(moved)).float().mean() > 0.99


def test_the_code_is_that_of_the_smallest_angle() -> None:
    quantizer = build(0)
    x = frames()[0].T
    angles = torch.nn.functional.normalize(x @ quantizer.projection, dim=1) @ quantizer.codebook.T
    assert torch.equal(quantizer.encode(frames())[0, 0], angles.argmax(1))


def test_a_decoded_code_is_encoded_to_itself() -> None:
    quantizer = build(0)
    quantizer.initialize(5 * frames() + 2)
    codes = torch.arange(20)[None, None]
    assert torch.equal(quantizer.encode(quantizer.decode(codes)), codes)
    assert quantizer(frames()).latents.shape == (2, 12, 50)


def test_configs() -> None:
    assert from_dict(RandomProjectionConfig, to_dict(CONFIG)) == CONFIG
    with pytest.raises(ConfigError, match="code_dim must be at least 1, but is 0"):
        RandomProjectionConfig(dim=4, code_dim=0)
    with pytest.raises(UserError, match="no soft assignment"):
        build(0).soft_assignment(frames())
