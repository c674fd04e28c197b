"""Any quantizer, from its config: for slots that take one."""

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.base import Quantizer
from uslm_tokenizer.quantize.mcrvq import MaskedChannelQuantizer, MaskedChannelQuantizerConfig
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig
from uslm_tokenizer.quantize.single import SingleConfig, build_single
from uslm_tokenizer.quantize.split import SplitQuantizer, SplitQuantizerConfig

QuantizerConfig = (
    SplitQuantizerConfig | ResidualQuantizerConfig | MaskedChannelQuantizerConfig | SingleConfig
)
"""Told apart by their keys: `code_dim` makes a factorized one, with `seed` a random projection,
`temperature` differentiable k-means, `iterations` k-means, `num_codebooks` a multi-codebook one,
`num_parallel` a masked-channel one, `levels` of numbers a scalar one and of mappings a residual
one."""


def build_quantizer(config: QuantizerConfig) -> Quantizer:
    """The quantizer of this config, untrained."""
    if isinstance(config, SplitQuantizerConfig):
        return SplitQuantizer(config)
    if isinstance(config, MaskedChannelQuantizerConfig):  # which extends the next
        return MaskedChannelQuantizer(config)
    if isinstance(config, ResidualQuantizerConfig):
        return ResidualQuantizer(config)
    return build_single(config)


def build_unit_quantizer(config: QuantizerConfig, slot: str) -> Quantizer:
    """The quantizer for a slot of units; ConfigError where it gives a frame several codes."""
    quantizer = build_quantizer(config)
    if quantizer.num_codebooks != 1:
        raise ConfigError(f"{slot} must give one code a frame, but gives {quantizer.num_codebooks}")
    return quantizer
