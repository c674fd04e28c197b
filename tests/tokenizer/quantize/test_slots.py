"""Every quantizer that trains fits every slot for one, or is refused by what it cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
import torch

from uslm_tokenizer.codecs.repcodec.model import RepCodec
from uslm_tokenizer.codecs.vevo_content.model import ConvStackConfig, VevoContentTokenizer
from uslm_tokenizer.codecs.waveform_codec.model import WaveformCodec
from uslm_tokenizer.config import from_dict, to_dict
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.build import QuantizerConfig, build_quantizer
from uslm_tokenizer.quantize.factorized import FactorizedQuantizerConfig
from uslm_tokenizer.quantize.fsq import FiniteScalarQuantizerConfig
from uslm_tokenizer.quantize.grvq import GroupedQuantizerConfig
from uslm_tokenizer.quantize.mcrvq import MaskedChannelQuantizerConfig
from uslm_tokenizer.quantize.rvq import ResidualQuantizerConfig
from uslm_tokenizer.quantize.split import SplitQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig

WIDTH = 12
LEVEL = VectorQuantizerConfig(dim=WIDTH, codebook_size=8)
STACK = ResidualQuantizerConfig(levels=(LEVEL,) * 2, dropout=0.0)
EXAMPLES: dict[type, Any] = {
    VectorQuantizerConfig: LEVEL,
    FactorizedQuantizerConfig: FactorizedQuantizerConfig(dim=WIDTH, code_dim=4, codebook_size=8),
    GroupedQuantizerConfig: GroupedQuantizerConfig(group=replace(LEVEL, dim=WIDTH // 2)),
    SplitQuantizerConfig: SplitQuantizerConfig(semantic=STACK, acoustic=STACK),
    ResidualQuantizerConfig: STACK,
    MaskedChannelQuantizerConfig: MaskedChannelQuantizerConfig(
        levels=(LEVEL,) * 3, num_parallel=3, min_levels=3, dropout=0.0
    ),
    FiniteScalarQuantizerConfig: FiniteScalarQuantizerConfig(levels=(3,) * WIDTH),
}
KINDS = list(EXAMPLES)


def test_every_kind_has_an_example() -> None:
    assert set(EXAMPLES) == set(get_args(QuantizerConfig))


@pytest.mark.parametrize("kind", KINDS)
def test_a_codec_of_waveforms_takes_it(kind: type) -> None:
    base = WaveformCodec.tiny_config()
    config = replace(base, quantizer=EXAMPLES[kind], semantic=None)
    assert from_dict(type(config), to_dict(config)) == config
    codec = WaveformCodec(config).train()
    made = codec(0.1 * torch.randn(1, 1, 3200))
    (made.waveform.square().mean() + made.quantized.loss).backward()  # type: ignore[no-untyped-call]
    assert any(p.grad is not None and p.grad.any() for p in codec.encoder.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_a_codec_of_features_takes_it(kind: type) -> None:
    config = replace(
        VevoContentTokenizer.tiny_config(),
        quantizer=EXAMPLES[kind],
        decoder=ConvStackConfig(dim=16),
    )
    assert from_dict(type(config), to_dict(config)) == config
    codec = VevoContentTokenizer(config).train()
    codec(torch.randn(1, 20, 16)).loss.backward()
    assert any(p.grad is not None and p.grad.any() for p in codec.encoder.parameters())
    codes = codec.eval().encode(torch.randn(1, 20, 16))
    assert codes.shape == (1, build_quantizer(EXAMPLES[kind]).num_codebooks, 20)


@pytest.mark.parametrize("kind", KINDS)
def test_a_codec_of_units_takes_it_or_says_that_it_gives_several(kind: type) -> None:
    config = replace(RepCodec.tiny_config(), quantizer=EXAMPLES[kind])
    assert from_dict(type(config), to_dict(config)) == config
    several = build_quantizer(EXAMPLES[kind]).num_codebooks
    if several > 1:
        with pytest.raises(ConfigError, match=f"one code a frame, but gives {several}"):
            RepCodec(config)
        return
    codec = RepCodec(config).train()
    codec(torch.randn(1, 20, WIDTH)).loss.backward()
    assert any(p.grad is not None and p.grad.any() for p in codec.encoder.parameters())
    assert codec.eval().encode(torch.randn(1, 20, WIDTH)).shape == (1, 1, 20)
