"""Quantizers that are no stack of others, from their configs: each may be a level of a stack."""

from typing import Any

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.base import Quantizer
from uslm_tokenizer.quantize.diff_kmeans import DifferentiableKMeans, DifferentiableKMeansConfig
from uslm_tokenizer.quantize.factorized import FactorizedQuantizer, FactorizedQuantizerConfig
from uslm_tokenizer.quantize.fsq import FiniteScalarQuantizer, FiniteScalarQuantizerConfig
from uslm_tokenizer.quantize.grvq import GroupedQuantizer, GroupedQuantizerConfig
from uslm_tokenizer.quantize.kmeans import KMeans, KMeansConfig
from uslm_tokenizer.quantize.mvq import MultiCodebookConfig, MultiCodebookQuantizer
from uslm_tokenizer.quantize.random_projection import RandomProjection, RandomProjectionConfig
from uslm_tokenizer.quantize.vq import VectorQuantizer, VectorQuantizerConfig

SingleConfig = (
    VectorQuantizerConfig
    | FactorizedQuantizerConfig
    | GroupedQuantizerConfig
    | FiniteScalarQuantizerConfig
    | DifferentiableKMeansConfig
    | MultiCodebookConfig
    | RandomProjectionConfig
    | KMeansConfig
)
"""Told apart by their keys, of which the first that fits counts: `dim` alone makes a VQ."""
KINDS: dict[type, type[Quantizer]] = {
    VectorQuantizerConfig: VectorQuantizer,
    FactorizedQuantizerConfig: FactorizedQuantizer,
    GroupedQuantizerConfig: GroupedQuantizer,
    FiniteScalarQuantizerConfig: FiniteScalarQuantizer,
    DifferentiableKMeansConfig: DifferentiableKMeans,
    MultiCodebookConfig: MultiCodebookQuantizer,
    RandomProjectionConfig: RandomProjection,
    KMeansConfig: KMeans,
}


def build_single(config: Any) -> Quantizer:
    """The quantizer of a SingleConfig, untrained."""
    if type(config) not in KINDS:
        raise ConfigError(f"there is no quantizer of a {type(config).__name__}")
    kind: Any = KINDS[type(config)]
    built: Quantizer = kind(config)
    return built
