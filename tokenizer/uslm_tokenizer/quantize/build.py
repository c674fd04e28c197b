"""Any quantizer that learns through the latents, from its config: for slots that take one."""

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.base import Quantizer
from uslm_tokenizer.quantize.factorized import FactorizedQuantizer, FactorizedQuantizerConfig
from uslm_tokenizer.quantize.fsq import FiniteScalarQuantizer, FiniteScalarQuantizerConfig
from uslm_tokenizer.quantize.grvq import GroupedQuantizer, GroupedQuantizerConfig
from uslm_tokenizer.quantize.mcrvq import MaskedChannelQuantizer, MaskedChannelQuantizerConfig
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig
from uslm_tokenizer.quantize.split import SplitQuantizer, SplitQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizer, VectorQuantizerConfig

QuantizerConfig = (
    VectorQuantizerConfig
    | FactorizedQuantizerConfig
    | GroupedQuantizerConfig
    | SplitQuantizerConfig
    | ResidualQuantizerConfig
    | MaskedChannelQuantizerConfig
    | FiniteScalarQuantizerConfig
)
"""Told apart by their keys: `code_dim` makes a factorized one, `num_parallel` a masked-channel one,
`levels` of numbers a scalar one and of mappings a residual one."""


def build_quantizer(config: QuantizerConfig) -> Quantizer:
    """The quantizer of this config, untrained."""
    kinds: list[tuple[type, type]] = [  # those that extend another come before it
        (FactorizedQuantizerConfig, FactorizedQuantizer),
        (VectorQuantizerConfig, VectorQuantizer),
        (GroupedQuantizerConfig, GroupedQuantizer),
        (SplitQuantizerConfig, SplitQuantizer),
        (MaskedChannelQuantizerConfig, MaskedChannelQuantizer),
        (ResidualQuantizerConfig, ResidualQuantizer),
        (FiniteScalarQuantizerConfig, FiniteScalarQuantizer),
    ]
    for kind, quantizer in kinds:
        if isinstance(config, kind):
            built: Quantizer = quantizer(config)
            return built
    raise ConfigError(f"a codec cannot train a quantizer of {type(config).__name__}")


def latent_dim(config: QuantizerConfig) -> int:
    """Width of the latents that it takes."""
    if isinstance(config, ResidualQuantizerConfig):
        return config.levels[0].dim
    if isinstance(config, FiniteScalarQuantizerConfig):
        return len(config.levels)
    return config.dim
