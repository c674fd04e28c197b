"""Train Make-A-Voice's unit vocoder: the first codebooks of a frozen codec -> the waveform.

    python -m uslm_recipes.train_code_vocoder --config mini --out runs/vocoder \\
        --set corpus=[data/corpus] --set codec=runs/codec/model --set model.num_codebooks=3

The codes of a crop are made of the crop alone, so that its edges are heard with less before and
after them than later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from uslm.systems.make_a_voice.vocoder import CodeVocoder, CodeVocoderConfig
from uslm_recipes.config import recipe_main
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.train.vocoders.training import Pair, VocoderRecipe, train_vocoder
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.registry import load_tokenizer


@dataclass(frozen=True, kw_only=True)
class CodeVocoderRecipe(VocoderRecipe):
    """Everything that decides a run of this recipe."""

    model: CodeVocoderConfig = field(default_factory=CodeVocoderConfig)
    """The vocoder."""
    codec: str = "runs/codec/model"
    """The codec whose codes are decoded; it stays as it is."""


def build(recipe: CodeVocoderRecipe, corpus: Corpus) -> Pair:
    """The codec, a vocoder, and the way between them; ConfigError unless one fits the other."""
    codec, model = load_tokenizer(recipe.codec), recipe.model
    if model.num_codebooks > codec.num_codebooks:
        raise ConfigError(
            f"model.num_codebooks must be at most {codec.num_codebooks}, as many as "
            f"{recipe.codec} has, but is {model.num_codebooks}"
        )
    for name, found, wanted in (
        ("model.codebook_size", model.codebook_size, codec.codebook_size),
        ("model.vocos.hop_length", model.vocos.hop_length, codec.hop_length),
        ("model.sample_rate", model.sample_rate, codec.sample_rate),
        ("the corpus's sample rate", corpus.sample_rate, codec.sample_rate),
    ):
        if found != wanted:
            raise ConfigError(f"{name} must be {wanted}, as of {recipe.codec}, but is {found}")
    codec.requires_grad_(False).eval()
    count = model.num_codebooks
    return Pair(codec, CodeVocoder(model), lambda waveforms: codec.encode(waveforms)[:, :count])


def train(recipe: CodeVocoderRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the vocoder saved there as `model`."""
    return train_vocoder(recipe, out, lambda corpus: build(recipe, corpus), resume=resume)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_code_vocoder", CodeVocoderRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
