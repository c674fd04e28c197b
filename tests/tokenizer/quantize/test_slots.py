"""Every quantizer fits every slot for one, or is refused by what it cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, get_args

import pytest
import torch

from uslm_tokenizer import quantize
from uslm_tokenizer.codecs.judged_units.model import JudgedUnits
from uslm_tokenizer.codecs.repcodec.model import RepCodec
from uslm_tokenizer.codecs.source_filter.graphs import EncoderGraph
from uslm_tokenizer.codecs.source_filter.model import SourceFilterCodec
from uslm_tokenizer.codecs.unit_codec.model import UnitCodec
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer
from uslm_tokenizer.codecs.vevo_content.model import ConvStackConfig, VevoContentTokenizer
from uslm_tokenizer.codecs.waveform_codec.model import WaveformCodec
from uslm_tokenizer.config import from_dict, to_dict
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.quantize.base import Quantizer
from uslm_tokenizer.quantize.build import QuantizerConfig, build_quantizer
from uslm_tokenizer.quantize.diff_kmeans import DifferentiableKMeansConfig
from uslm_tokenizer.quantize.factorized import FactorizedQuantizerConfig
from uslm_tokenizer.quantize.fsq import FiniteScalarQuantizerConfig
from uslm_tokenizer.quantize.grvq import GroupedQuantizerConfig
from uslm_tokenizer.quantize.kmeans import KMeansConfig
from uslm_tokenizer.quantize.mcrvq import MaskedChannelQuantizerConfig
from uslm_tokenizer.quantize.mvq import MultiCodebookConfig
from uslm_tokenizer.quantize.random_projection import RandomProjectionConfig
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
    DifferentiableKMeansConfig: DifferentiableKMeansConfig(dim=WIDTH, codebook_size=8),
    MultiCodebookConfig: MultiCodebookConfig(dim=WIDTH, num_codebooks=2, codebook_size=9, steps=4),
    RandomProjectionConfig: RandomProjectionConfig(dim=WIDTH, codebook_size=8, code_dim=4),
    KMeansConfig: KMeansConfig(dim=WIDTH, codebook_size=8),
}
KINDS = list(EXAMPLES)


def refused(kind: type, build: Callable[[], object]) -> bool:
    """Whether it gives a frame several codes, for which a slot of units has refused it."""
    several = build_quantizer(EXAMPLES[kind]).num_codebooks
    if several > 1:
        with pytest.raises(ConfigError, match=f"one code a frame, but gives {several}"):
            build()
    return several > 1


def test_every_kind_has_an_example() -> None:
    assert set(EXAMPLES) == set(get_args(QuantizerConfig))
    for kind, example in EXAMPLES.items():
        built = build_quantizer(example)
        sizes = (example.num_codebooks, example.codebook_size)
        assert sizes == (built.num_codebooks, built.codebook_size), kind


def every_quantizer() -> set[type]:
    """Those of the package, and not those inside one codec."""
    modules = iter_modules(quantize.__path__, "uslm_tokenizer.quantize.")
    found = [vars(import_module(each.name)).values() for each in modules]
    return {
        each
        for values in found
        for each in values
        if isinstance(each, type) and issubclass(each, Quantizer) and each is not Quantizer
    }


def test_every_quantizer_has_a_config_among_them() -> None:
    assert {type(build_quantizer(each)) for each in EXAMPLES.values()} == every_quantizer()


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
    if refused(kind, lambda: RepCodec(config)):
        return
    codec = RepCodec(config).train()
    codec(torch.randn(1, 20, WIDTH)).loss.backward()
    assert any(p.grad is not None and p.grad.any() for p in codec.encoder.parameters())
    assert codec.eval().encode(torch.randn(1, 20, WIDTH)).shape == (1, 1, 20)


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_units_take_it(kind: type) -> None:
    config = replace(UnitTokenizer.tiny_config(), quantizer=EXAMPLES[kind])
    assert from_dict(type(config), to_dict(config)) == config
    if refused(kind, lambda: UnitTokenizer(config)):
        return
    units, audio = UnitTokenizer(config).train(), 0.1 * torch.randn(1, 1, 6400)
    made = units(audio, torch.tensor([6400]), torch.Generator().manual_seed(0))
    (made.features.square().mean() + made.commitment).backward()
    assert any(p.grad is not None and p.grad.any() for p in units.encoder.parameters())
    codes = units.eval().encode(audio)
    assert codes.shape == (1, 1, 20) and int(codes.max()) < units.codebook_size
    assert units.phoneme_logits(codes[:, 0]).shape == (1, 20, config.num_symbols)


@pytest.mark.parametrize("kind", KINDS)
def test_judged_units_take_it(kind: type) -> None:
    config = replace(JudgedUnits.tiny_config(), quantizer=EXAMPLES[kind])
    assert from_dict(type(config), to_dict(config)) == config
    if refused(kind, lambda: JudgedUnits(config)):
        return
    units, audio = JudgedUnits(config).train(), 0.1 * torch.randn(1, 1, 6400)
    made = units(audio, torch.tensor([6400]), torch.Generator().manual_seed(0))
    (made.quantized.latents.square().mean() + made.quantized.loss).backward()
    assert any(p.grad is not None and p.grad.any() for p in units.adapter.parameters())
    assert units.eval().encode(audio).shape[:2] == (1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_levels_above_units_take_it(kind: type) -> None:
    level = EXAMPLES[kind]
    base = UnitCodec.tiny_config()
    units = replace(
        UnitTokenizer.tiny_config(),
        quantizer=VectorQuantizerConfig(dim=8, codebook_size=level.codebook_size),
    )
    config = replace(base, units=units, residual=level, dim=WIDTH)
    assert from_dict(type(config), to_dict(config)) == config
    if refused(kind, lambda: UnitCodec(config)):
        return
    codec, audio = UnitCodec(config).train(), 0.1 * torch.randn(1, 1, 6400)
    made = codec(audio, torch.zeros(1, 20, dtype=torch.long), torch.Generator().manual_seed(0))
    (made.waveform.square().mean() + made.quantized.loss).backward()
    assert any(p.grad is not None and p.grad.any() for p in codec.encoder.parameters())
    codes = codec.eval().encode(audio)
    assert codes.shape == (1, 1 + config.num_residual_levels, 20)
    assert codec.decode(codes).shape == audio.shape


def test_a_stack_of_one_is_a_level_and_one_that_does_not_fit_is_none() -> None:
    base = UnitCodec.tiny_config()
    stack = ResidualQuantizerConfig(levels=(base.residual,))  # type: ignore[arg-type]
    torch.manual_seed(0)
    alone = UnitCodec(base).state_dict()
    torch.manual_seed(0)
    stacked = UnitCodec(replace(base, residual=stack)).state_dict()
    assert all(torch.equal(alone[name], stacked[name]) for name in {**alone, **stacked})
    for change, words in (
        ({"dim": 23}, "residual.dim must be 24, but is 23"),
        ({"codebook_size": 16}, "residual.codebook_size must be 32, but is 16"),
    ):
        with pytest.raises(ConfigError, match=words):
            UnitCodec(replace(base, residual=replace(base.residual, **change)))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_takes_units_of_nearest_codes_only(kind: type) -> None:
    base = SourceFilterCodec.tiny_config()
    units = replace(base.units, quantizer=EXAMPLES[kind])
    if build_quantizer(EXAMPLES[kind]).num_codebooks > 1:
        return
    pitch = replace(base.pitch, num_steps=5, steps_per_octave=2)
    codec = SourceFilterCodec(replace(base, units=units, pitch=pitch)).eval()
    if kind not in (VectorQuantizerConfig, DifferentiableKMeansConfig, KMeansConfig):
        with pytest.raises(UserError, match="has no code points"):
            EncoderGraph(codec)
        return
    audio = 0.1 * torch.randn(6400)
    with torch.no_grad():
        found, _, _ = EncoderGraph(codec)(audio, torch.tensor([20]))
    assert torch.equal(found, codec.units.encode(audio[None, None])[0, 0])


def test_codes_by_angle_are_no_points() -> None:
    assert build_quantizer(LEVEL).code_points().shape == (8, WIDTH)
    with pytest.raises(UserError, match="does not choose the nearest"):
        build_quantizer(replace(LEVEL, cosine=True)).code_points()


def test_what_a_stack_can_is_what_its_levels_can() -> None:
    still = ResidualQuantizerConfig(levels=(EXAMPLES[KMeansConfig],) * 2)
    drawn = ResidualQuantizerConfig(levels=(EXAMPLES[DifferentiableKMeansConfig],) * 2)
    assert not build_quantizer(still).learns and build_quantizer(STACK).learns
    split = build_quantizer(SplitQuantizerConfig(semantic=still, acoustic=drawn))
    assert split.learns and split.draws_codes and not build_quantizer(STACK).draws_codes
    split.cool(0.5, 1.0)  # from 2
    temperatures = [each.temperature for each in split.acoustic.levels]
    assert temperatures == [1.5, 1.5]
    late = replace(LEVEL, delayed_init=True)
    stack = build_quantizer(ResidualQuantizerConfig(levels=(late,) * 2))
    assert not stack.is_placed
    stack.initialize(torch.randn(1, WIDTH, 20), generator=torch.Generator().manual_seed(0))
    assert stack.is_placed
