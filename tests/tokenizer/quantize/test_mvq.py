"""Multi-codebook quantization: codes are sums, refining never hurts, all entries are used."""

import math

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.config import from_dict, to_dict
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize import kmeans
from uslm_tokenizer.quantize.mvq import MultiCodebookConfig, MultiCodebookQuantizer

CONFIG = MultiCodebookConfig(dim=6, num_codebooks=3, codebook_size=16, steps=80)


def frames(seed: int = 0, count: int = 1200) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    mixing = torch.randn(6, 6, generator=torch.Generator().manual_seed(9))
    return (torch.randn(count, 6, generator=draw) @ mixing).T[None]


@pytest.fixture(scope="module")
def trained() -> MultiCodebookQuantizer:
    torch.manual_seed(0)
    quantizer = MultiCodebookQuantizer(CONFIG).eval()
    quantizer.initialize(frames(), generator=torch.Generator().manual_seed(1))
    return quantizer


def test_a_frame_is_the_sum_of_its_codes(trained: MultiCodebookQuantizer) -> None:
    codes = torch.tensor([[[1, 5], [0, 2], [15, 3]]])
    tables = trained.codebooks.detach()
    expected = tables[0, [1, 5]] + tables[1, [0, 2]] + tables[2, [15, 3]]
    torch.testing.assert_close(trained.decode(codes)[0].T.detach(), expected)
    made = trained(frames(2, 40))
    torch.testing.assert_close(made.latents, trained.decode(made.codes))


def test_refining_never_makes_the_error_larger(trained: MultiCodebookQuantizer) -> None:
    x = frames(3)

    def errors(rounds: int) -> Tensor:
        return (trained.decode(trained.encode(x, rounds)) - x).square().sum(1)[0].detach()

    one, two, four = errors(0), errors(1), errors(4)
    assert bool((two <= one + 1e-4).all()) and bool((four <= two + 1e-4).all())
    assert float(two.mean()) < float(one.mean())


def test_it_beats_one_codebook_and_uses_all_entries(trained: MultiCodebookQuantizer) -> None:
    train, test = frames(), frames(4)
    centroids = kmeans.fit(train[0].T, 16, generator=torch.Generator().manual_seed(0))
    alone = kmeans.nearest(test[0].T, centroids)[1].mean()
    codes = trained.encode(test)
    error = (trained.decode(codes) - test).square().sum(1).mean().detach()
    assert float(error) < 0.5 * float(alone)
    for row in codes[0]:
        share = torch.bincount(row, minlength=16).double() / row.numel()
        assert float(-torch.special.xlogy(share, share).sum()) > 0.75 * math.log(16)


def test_the_same_generator_trains_the_same(trained: MultiCodebookQuantizer) -> None:
    torch.manual_seed(5)
    again = MultiCodebookQuantizer(CONFIG)
    again.initialize(frames(), generator=torch.Generator().manual_seed(1))
    assert torch.equal(again.codebooks, trained.codebooks)


def test_padding_trains_nothing() -> None:
    x, mask = frames(), torch.arange(1200)[None] < 900
    noisy = torch.where(mask[:, None], x, torch.full_like(x, 50.0))
    made = []
    for given in (x, noisy):
        quantizer = MultiCodebookQuantizer(CONFIG)
        quantizer.initialize(given, mask, generator=torch.Generator().manual_seed(1))
        made.append(quantizer.codebooks.detach())
    assert torch.equal(*made)
    one, two = (quantizer(given, mask).loss for given in (x, noisy))
    torch.testing.assert_close(one, two)


def test_configs() -> None:
    assert from_dict(MultiCodebookConfig, to_dict(CONFIG)) == CONFIG
    with pytest.raises(ConfigError, match="codebook_size must be a square number, but is 500"):
        MultiCodebookConfig(dim=4, codebook_size=500)
    with pytest.raises(ConfigError, match="num_codebooks must be at least 1, but is 0"):
        MultiCodebookConfig(dim=4, num_codebooks=0)
