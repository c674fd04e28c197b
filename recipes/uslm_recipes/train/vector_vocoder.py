"""Train Vec-Tok's vocoder: vectors of the frozen speech encoder -> the waveform they came from.

    python -m uslm_recipes.train_vector_vocoder --config mini --out runs/vocoder \\
        --set corpus=[data/corpus] --set tokenizer=runs/vec_tok/tokenizer --max-minutes 60

It learns from the vectors of recordings, with all that they hold of the voice. Those of a crop are
made of the crop alone, so that its edges are heard with less before and after them than later.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from uslm.systems.vec_tok.vocoder import VectorVocoder, VectorVocoderConfig
from uslm_recipes.config import recipe_main
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.train.vocoders.training import Pair, VocoderRecipe, train_vocoder
from uslm_tokenizer.codecs.kmeans_units.model import KMeansUnits
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.registry import load_tokenizer
from uslm_tokenizer.weight_hash import weight_hash


@dataclass(frozen=True, kw_only=True)
class VectorVocoderRecipe(VocoderRecipe):
    """Everything that decides a run of this recipe."""

    model: VectorVocoderConfig = field(default_factory=VectorVocoderConfig)
    """The vocoder."""
    tokenizer: str = "runs/vec_tok/tokenizer"
    """The k-means units whose encoder makes the vectors, as train_vec_tok leaves them."""


def build(recipe: VectorVocoderRecipe, corpus: Corpus) -> Pair:
    """The tokenizer, a vocoder, and the way between them; ConfigError unless one fits the other."""
    tokenizer = load_tokenizer(recipe.tokenizer)
    if not isinstance(tokenizer, KMeansUnits):
        raise ConfigError(
            f"tokenizer must be k-means units of a speech encoder, but {recipe.tokenizer} is a "
            f"{tokenizer.model_type}"
        )
    model = recipe.model
    for name, found, wanted in (
        ("model.vocos.in_dim", model.vocos.in_dim, tokenizer.encoder.dim),
        ("model.vocos.hop_length", model.vocos.hop_length, tokenizer.hop_length),
        ("model.sample_rate", model.sample_rate, tokenizer.sample_rate),
        ("the corpus's sample rate", corpus.sample_rate, tokenizer.sample_rate),
    ):
        if found != wanted:
            raise ConfigError(f"{name} must be {wanted}, as of {recipe.tokenizer}, but is {found}")
    model = replace(model, tokenizer_hash=weight_hash(tokenizer=tokenizer))
    tokenizer.requires_grad_(False)
    return Pair(tokenizer, VectorVocoder(model), lambda waveforms: tokenizer.vectors(waveforms)[0])


def train(recipe: VectorVocoderRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the vocoder saved there as `model`."""
    return train_vocoder(recipe, out, lambda corpus: build(recipe, corpus), resume=resume)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_vector_vocoder", VectorVocoderRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
