"""The acoustic levels see what the semantic one sees, and the two add up."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from uslm_tokenizer.config import from_dict, to_dict
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.build import QuantizerConfig, build_quantizer
from uslm_tokenizer.quantize.factorized import FactorizedQuantizerConfig
from uslm_tokenizer.quantize.fsq import FiniteScalarQuantizerConfig
from uslm_tokenizer.quantize.grvq import GroupedQuantizerConfig
from uslm_tokenizer.quantize.mcrvq import MaskedChannelQuantizerConfig
from uslm_tokenizer.quantize.rvq import ResidualQuantizerConfig
from uslm_tokenizer.quantize.split import SplitQuantizer, SplitQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig

LEVEL = VectorQuantizerConfig(dim=6, codebook_size=8)
SEMANTIC = ResidualQuantizerConfig(levels=(LEVEL,), dropout=0.0)
ACOUSTIC = ResidualQuantizerConfig(levels=(LEVEL,) * 2, dropout=0.0)
SPLIT = SplitQuantizerConfig(semantic=SEMANTIC, acoustic=ACOUSTIC)


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A config with a slot for any quantizer."""

    quantizer: QuantizerConfig


def test_both_parts_quantize_the_latents_themselves() -> None:
    split = SplitQuantizer(SPLIT).eval()
    latents = torch.randn(2, 6, 9)
    codes = split.encode(latents)
    assert torch.equal(codes[:, :1], split.semantic.encode(latents))
    assert torch.equal(codes[:, 1:], split.acoustic.encode(latents))
    wanted = split.semantic.decode(codes[:, :1]) + split.acoustic.decode(codes[:, 1:])
    assert torch.equal(split.decode(codes), wanted)
    made = split(latents)
    assert torch.equal(made.codes, codes)
    torch.testing.assert_close(made.latents, wanted)
    torch.testing.assert_close(made.levels[0], split.semantic.decode(codes[:, :1]))


def test_the_gradient_passes_once_and_every_level_counts_once() -> None:
    split = SplitQuantizer(SPLIT).train()
    latents = torch.randn(2, 6, 9, requires_grad=True)
    made = split(latents)
    made.latents.sum().backward()
    assert latents.grad is not None
    torch.testing.assert_close(latents.grad, torch.ones_like(latents))
    split.eval()
    whole, parts = split(latents), [split.semantic(latents), split.acoustic(latents)]
    torch.testing.assert_close(whole.loss, parts[0].loss / 3 + 2 * parts[1].loss / 3)


@pytest.mark.parametrize(
    "config",
    [
        LEVEL,
        FactorizedQuantizerConfig(dim=6, code_dim=2, codebook_size=8),
        GroupedQuantizerConfig(group=VectorQuantizerConfig(dim=3, codebook_size=8)),
        ACOUSTIC,
        SPLIT,
        MaskedChannelQuantizerConfig(levels=(LEVEL,) * 4),
        FiniteScalarQuantizerConfig(levels=(3,) * 6),
    ],
    ids=lambda config: type(config).__name__,
)
def test_any_quantizer_is_built_from_its_stored_config(config: QuantizerConfig) -> None:
    slot = from_dict(Slot, {"quantizer": to_dict(config)})
    assert slot.quantizer == config and type(slot.quantizer) is type(config)
    quantizer = build_quantizer(slot.quantizer).eval()
    assert quantizer.encode(torch.randn(1, config.dim, 5)).shape == (
        1, quantizer.num_codebooks, 5
    )  # fmt: skip


def test_parts_must_fit() -> None:
    other = ResidualQuantizerConfig(levels=(VectorQuantizerConfig(dim=6, codebook_size=4),))
    with pytest.raises(ConfigError, match="equal dim and codebook_size"):
        SplitQuantizerConfig(semantic=SEMANTIC, acoustic=other)
