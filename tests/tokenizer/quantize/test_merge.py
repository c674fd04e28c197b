"""Merged codes: tied as promised, coded again by later levels, and without loss in themselves."""

from __future__ import annotations

import pytest
import torch

from uslm_tokenizer.codecs.speech_tokenizer.model import SpeechTokenizer
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.quantize.merge import hold, pool, slow_codes
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig


@pytest.fixture(scope="module")
def quantizer() -> ResidualQuantizer:
    level = VectorQuantizerConfig(dim=6, codebook_size=16)
    made = ResidualQuantizer(ResidualQuantizerConfig(levels=(level,) * 4)).eval()
    made.initialize(latents(8, 100, 1), generator=torch.Generator().manual_seed(0))
    return made


def latents(b: int, t: int, seed: int = 0) -> torch.Tensor:
    """They change slowly, as speech does."""
    noise = torch.randn(b, 6, t + 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool1d(noise, 5, 1) * 5**0.5


def error(quantizer: ResidualQuantizer, merge: tuple[int, ...]) -> float:
    x = latents(4, 61)
    return float((quantizer.decode(quantizer.merged(merge).encode(x)) - x).square().mean())


def test_without_merging_it_encodes(quantizer: ResidualQuantizer) -> None:
    x = latents(2, 9)
    assert torch.equal(quantizer.merged((1, 1, 1, 1)).encode(x), quantizer.encode(x))


@pytest.mark.parametrize("t", [1, 7, 8])
def test_codes_are_tied_and_half_of_them_say_all(quantizer: ResidualQuantizer, t: int) -> None:
    codes = quantizer.merged((2, 1, 3, 1)).encode(latents(2, t))
    assert codes.shape == (2, 4, t)
    slow = slow_codes(codes[:, :1], 2)
    assert slow.shape[2] == -(-t // 2)  # the steps of a language model of codebook 0
    assert torch.equal(hold(slow, 2, t), codes[:, :1])
    assert torch.equal(hold(slow_codes(codes[:, 2:3], 3), 3, t), codes[:, 2:3])
    if t == 8:
        with pytest.raises(UserError, match="merged by 2, but neighbours of a run differ"):
            slow_codes(codes[:, 1:2], 2)


def test_a_merged_level_codes_the_mean_and_the_next_what_that_lost(
    quantizer: ResidualQuantizer,
) -> None:
    x = latents(1, 5)
    mean = torch.stack([x[..., :2].mean(2), x[..., 2:4].mean(2), x[..., 4]], dim=2)
    torch.testing.assert_close(pool(x, 2), mean)
    codes = quantizer.merged((2, 1, 1, 1)).encode(x)
    first = quantizer.levels[0]
    assert torch.equal(slow_codes(codes[:, :1], 2), first.encode(mean))
    lost = x - first.decode(codes[:, :1])
    assert torch.equal(codes[:, 1:2], quantizer.levels[1].encode(lost))


def test_merging_the_first_level_costs_less_than_merging_all(quantizer: ResidualQuantizer) -> None:
    none, first, every = (error(quantizer, m) for m in ((1, 1, 1, 1), (2, 1, 1, 1), (2, 2, 2, 2)))
    assert none < first < every


def test_a_codec_decodes_them_without_being_trained_anew() -> None:
    torch.manual_seed(0)
    codec = SpeechTokenizer(SpeechTokenizer.tiny_config()).eval()
    with torch.no_grad():
        found = codec.encoder(0.1 * torch.randn(1, 1, 400))
    codes = codec.quantizer.merged((2, 1, 1)).encode(found)
    assert codec.decode(codes).shape == (1, 1, 400)


@pytest.mark.parametrize("merge", [(2, 1), (0, 1, 1, 1), (2, 1, 1, 1, 1)])
def test_wrong_numbers_are_named(quantizer: ResidualQuantizer, merge: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="merge must be 4 numbers of 1 or more"):
        quantizer.merged(merge)


def test_merging_is_undone_and_leaves_the_levels_alone(quantizer: ResidualQuantizer) -> None:
    x, levels = latents(2, 9), quantizer.levels
    merged = quantizer.merged((2, 1, 1, 1))
    assert not torch.equal(merged.encode(x), quantizer.encode(x))
    assert torch.equal(merged.merged(()).encode(x), quantizer.encode(x))
    assert merged.levels is levels and quantizer.config.merge == ()
