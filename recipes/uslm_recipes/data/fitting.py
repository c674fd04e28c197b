"""Tokenizers that a recipe is given by name: the units inside a codec, and the rate of a corpus."""

from uslm_recipes.data.corpus import Corpus
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.registry import load_tokenizer


def load_units(name: str) -> AudioTokenizer:
    """The tokenizer of this name; of a codec with units of its own, these."""
    given = load_tokenizer(name)
    found: object = getattr(given, "units", given)
    return found if isinstance(found, AudioTokenizer) else given


def check_sample_rate(name: str, tokenizer: AudioTokenizer, corpus: Corpus) -> None:
    """ConfigError unless what the recipe calls `name` is of the corpus's rate."""
    if tokenizer.sample_rate != corpus.sample_rate:
        raise ConfigError(
            f"{name} must be of {corpus.sample_rate} Hz, as the corpus is, but is of "
            f"{tokenizer.sample_rate} Hz"
        )
