"""Train Vec-Tok's vocoder: vectors of the frozen speech encoder -> the waveform they came from.

    python -m uslm_recipes.train_vector_vocoder --config mini --out runs/vocoder \\
        --set corpus=[data/corpus] --set tokenizer=runs/vec_tok/tokenizer --max-minutes 60

It learns from the vectors of recordings, with all that they hold of the voice. Those of a crop are
made of the crop alone, so that its edges are heard with less before and after them than later.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from uslm.systems.vec_tok.vocoder import VectorVocoder, VectorVocoderConfig
from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.batches import CropSampler
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.loop import (
    LoopConfig,
    Losses,
    TrainingState,
    Validation,
    after_step,
    each_batch,
    finish_run,
    make_accelerator,
    make_optimizer,
    seed_everything,
    start_run,
    update,
    world_of,
)
from uslm_recipes.loop.training_data import TrainingData
from uslm_recipes.train.codec_crops import Teachers, draw_batch
from uslm_recipes.train.discriminator import (
    DiscriminatorConfig,
    active_discriminator,
    build_discriminator,
    discriminator_step,
)
from uslm_tokenizer.codecs.kmeans_units.model import KMeansUnits
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.objectives.waveform import MultiResolutionSTFTLoss
from uslm_tokenizer.objectives.weighted import WaveformWeights, waveform_losses
from uslm_tokenizer.registry import load_tokenizer
from uslm_tokenizer.weight_hash import weight_hash


@dataclass(frozen=True, kw_only=True)
class VectorVocoderRecipe:
    """Everything that decides a run of this recipe."""

    model: VectorVocoderConfig = field(default_factory=VectorVocoderConfig)
    """The vocoder."""
    tokenizer: str = "runs/vec_tok/tokenizer"
    """The k-means units whose encoder makes the vectors, as train_vec_tok leaves them."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    batch_size: int = 12
    """Crops in a batch."""
    crop_frames: int = 64
    """Length of a crop, vectors."""
    weights: WaveformWeights = field(default_factory=WaveformWeights)
    """What counts how much in the waveform."""
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    """The discriminators."""


def build(recipe: VectorVocoderRecipe, corpus: Corpus) -> tuple[KMeansUnits, VectorVocoder]:
    """The tokenizer and a vocoder that knows nothing; ConfigError unless one fits the other."""
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
    return tokenizer.requires_grad_(False), VectorVocoder(model)


@torch.no_grad()
def validate(
    tokenizer: KMeansUnits,
    vocoder: VectorVocoder,
    spectral_loss: nn.Module,
    corpus: Corpus,
    indices: Sequence[int],
    num_samples: int,
) -> Validation:
    """Spectral distance of held-out utterances from what is made of their vectors; some to hear."""
    distances, sounds = [], dict[str, tuple[Tensor, int]]()
    for number, index in enumerate(indices):
        real = corpus.waveform(index)[None, None].to(vocoder.device)
        made = vocoder.decode(tokenizer.vectors(real)[0])[..., : real.shape[-1]]
        real = real[..., : made.shape[-1]]
        distances.append(spectral_loss(made, real))
        if number < num_samples:
            sounds[f"decoded{number}_true"] = (real[0, 0], vocoder.sample_rate)
            sounds[f"decoded{number}_made"] = (made[0, 0], vocoder.sample_rate)
    return Validation(values={"loss": float(torch.stack(distances).mean())}, sounds=sounds)


@torch.no_grad()
def vectors_of(tokenizer: KMeansUnits, waveforms: Float[Tensor, "b 1 n"]) -> Float[Tensor, "b t f"]:
    """Vectors of crops of whole frames, one for each."""
    vectors, _ = tokenizer.vectors(waveforms)
    return vectors


def train(recipe: VectorVocoderRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the vocoder saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    device = accelerator.device
    corpus = Corpus.open(recipe.corpus)
    tokenizer, vocoder = build(recipe, corpus)
    tokenizer.to(device)
    hop = vocoder.hop_length
    spectral_loss = MultiResolutionSTFTLoss(corpus.sample_rate).to(device)
    crops = CropSampler(
        corpus.num_samples,
        recipe.crop_frames * hop,
        recipe.batch_size,
        recipe.loop.seed,
        indices=corpus.select(split="train", sources=recipe.sources or None),
        world=world_of(accelerator),
        align=hop,
    )
    models: dict[str, nn.Module] = {
        "vocoder": vocoder.to(device).train(),
        "discriminator": build_discriminator(recipe.discriminator),
    }
    state = TrainingState(
        models=dict(models),
        optimizers={name: make_optimizer(model, recipe.loop) for name, model in models.items()},
        streams={"crops": crops},
        averaged=("vocoder",),
    )
    held_out = corpus.select(split="test", min_seconds=1, max_seconds=8)[:40].tolist()
    data = TrainingData.of(corpus)
    with start_run(
        recipe, out, state, accelerator=accelerator, data=data, batch_key="batch_size",
        resume=resume,
    ) as run:  # fmt: skip
        vocoder_, judge = state.models["vocoder"], state.models["discriminator"]

        def check() -> Validation:
            count = recipe.loop.samples
            return validate(tokenizer, vocoder, spectral_loss, corpus, held_out, count)

        for train_batch in each_batch(
            run, lambda: draw_batch(recipe.crop_frames, hop, corpus, Teachers(), crops)
        ):
            real = train_batch.batch.to(device).waveforms
            with accelerator.accumulate(vocoder_, judge):
                made = vocoder_(vectors_of(tokenizer, real))
                total, parts = waveform_losses(
                    made, real, spectral_loss, active_discriminator(run, recipe.discriminator),
                    recipe.weights,
                )  # fmt: skip
                update(run, total, "vocoder")
                parts |= discriminator_step(run, recipe.discriminator, real, made)
            after_step(run, Losses(total, parts), train_batch, validate=check if held_out else None)
        if complete := finish_run(run):
            export(run, "vocoder", {"model": vocoder})
    return complete


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_vector_vocoder", VectorVocoderRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
