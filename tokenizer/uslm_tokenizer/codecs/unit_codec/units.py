"""Tokenizers of units that an acoustic codec can stand on."""

from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.judged_units.model import JudgedUnits, JudgedUnitsConfig
from uslm_tokenizer.codecs.kmeans_units.model import KMeansUnits, KMeansUnitsConfig
from uslm_tokenizer.codecs.masked_units.model import MaskedUnits, MaskedUnitsConfig
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer, UnitTokenizerConfig
from uslm_tokenizer.errors import ConfigError

UnitsConfig = UnitTokenizerConfig | JudgedUnitsConfig | KMeansUnitsConfig | MaskedUnitsConfig
"""Told apart by their keys; none at all are those of a UnitTokenizer."""
KINDS: dict[type, type[AudioTokenizer]] = {
    UnitTokenizerConfig: UnitTokenizer,
    JudgedUnitsConfig: JudgedUnits,
    KMeansUnitsConfig: KMeansUnits,
    MaskedUnitsConfig: MaskedUnits,
}


def build_units(config: UnitsConfig) -> AudioTokenizer:
    """The tokenizer of a config, frozen; ConfigError of one with several codebooks."""
    units = KINDS[type(config)](config).requires_grad_(False)
    if units.num_codebooks != 1:
        raise ConfigError(
            f"units must have one codebook, but those of a {units.model_type} have "
            f"{units.num_codebooks}"
        )
    return units
