"""Train the acoustic tokenizer on top of frozen units: spectral distance first, then a GAN.

    python -m uslm_recipes.train_codec --config mini --out runs/codec \\
        --set corpus=[data/corpus] --set units=runs/units/model --max-minutes 45
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.batches import CropSampler
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.encoding import encode_corpus
from uslm_recipes.data.tokens import TokenCorpus
from uslm_recipes.loop import (
    LoopConfig,
    Losses,
    TrainBatch,
    TrainingState,
    Validation,
    after_step,
    each_batch,
    finish_run,
    make_accelerator,
    make_optimizer,
    own_generator,
    seed_everything,
    start_run,
    update,
    world_of,
)
from uslm_recipes.loop.pictures import count_codes, draw_codebooks, draw_mels
from uslm_recipes.loop.training_data import BatchLabel, TrainingData
from uslm_recipes.loop.validation import codebook_perplexity
from uslm_recipes.train import samples
from uslm_recipes.train.discriminator import (
    DiscriminatorConfig,
    active_discriminator,
    build_discriminator,
    discriminator_step,
)
from uslm_tokenizer.codecs.unit_codec.model import UnitCodec, UnitCodecConfig
from uslm_tokenizer.codecs.unit_codec.units import KINDS, UnitsConfig
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.objectives.waveform import MultiScaleMelLoss
from uslm_tokenizer.objectives.weighted import WaveformWeights, waveform_losses
from uslm_tokenizer.registry import load_tokenizer


@dataclass(frozen=True, kw_only=True)
class CodecRecipe:
    """Everything that decides a run of this recipe."""

    model: UnitCodecConfig = field(default_factory=UnitCodecConfig)
    """The codec to train; its `units` are replaced by those of the tokenizer below."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    corpus_on_device: bool = False
    """Whether all of it lies on the device, 115 MB an hour, so that nothing is read or copied."""
    units: str = "runs/units/model"
    """The trained semantic tokenizer; it stays as it is."""
    batch_size: int = 16
    """Crops in a batch."""
    crop_frames: int = 40
    """Length of a crop, frames of the codec."""
    weights: WaveformWeights = field(default_factory=WaveformWeights)
    """What counts how much in the waveform."""
    quantizer_weight: float = 7.0
    """Weight of the residual levels' losses, a mean over the codebooks."""
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    """The discriminator."""


@dataclass
class Batch:
    """Crops and the units that belong to them."""

    waveforms: Float[Tensor, "b 1 n"]
    units: Int[Tensor, "b t"]

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        return Batch(self.waveforms.to(device), self.units.to(device))


def draw_batch(
    recipe: CodecRecipe, corpus: Corpus, tokens: TokenCorpus, crops: CropSampler
) -> TrainBatch[Batch]:
    """The next crops; they begin at whole frames."""
    hop, length = tokens.header.hop_length, recipe.crop_frames
    train_batch = next(crops)
    places = list(zip(train_batch.indices.tolist(), train_batch.starts.tolist(), strict=True))
    units = [tokens.codes(i, start // hop, start // hop + length)[0] for i, start in places]
    return TrainBatch(
        batch=Batch(
            corpus.crops(train_batch.indices, train_batch.starts, length * hop), torch.stack(units)
        ),
        name=BatchLabel(corpus, train_batch.indices.tolist()),
        audio_seconds=len(places) * length * hop / corpus.sample_rate,
        tokens=len(places) * length,
        padded_frames=len(places) * length,
    )


def generator_losses(
    recipe: CodecRecipe,
    codec: nn.Module,
    discriminator: nn.Module | None,
    mel_loss: MultiScaleMelLoss,
    batch: Batch,
    generator: torch.Generator,
) -> tuple[Losses, Float[Tensor, "b 1 n"]]:
    """The codec's side; without a discriminator the spectral distance alone."""
    made = codec(batch.waveforms, batch.units, generator)
    total, parts = waveform_losses(
        made.waveform, batch.waveforms, mel_loss, discriminator, recipe.weights
    )
    total = total + recipe.quantizer_weight * made.quantized.loss
    parts["commitment"] = made.quantized.commitment
    return Losses(total=total, parts=parts), made.waveform.detach()


@torch.no_grad()
def validate(
    recipe: CodecRecipe, codec: UnitCodec, corpus: Corpus, tokens: TokenCorpus, indices: list[int]
) -> Validation:
    """Spectral distance of whole held-out utterances, decoded from their codes, and how many codes
    of each codebook are in use; some of the utterances to hear and see."""
    mel_loss = MultiScaleMelLoss(corpus.sample_rate).to(codec.device)
    distances, shown = [], []
    counts = torch.zeros(codec.num_codebooks, codec.codebook_size)
    for number, index in enumerate(indices):
        units = tokens.codes(index)[:1].to(codec.device)
        waveform = corpus.waveform(index)[None, None, : units.shape[1] * codec.hop_length]
        waveform = waveform.to(codec.device)
        made = codec(waveform, units)
        distances.append(mel_loss(made.waveform, waveform))
        for codebook, codes in enumerate([units[0], *made.quantized.codes[0]]):
            counts[codebook] += count_codes(codes, codec.codebook_size)
        if number < recipe.loop.samples:
            shown.append(_sample(f"decoded{number}", codec, waveform, made.waveform))
    by_codebook = {f"codebook {k}": each for k, each in enumerate(counts)}
    if recipe.loop.samples:
        shown.append(Validation(values={}, pictures={"codebooks": draw_codebooks(by_codebook)}))
    use = {f"codes_used_{k}": codebook_perplexity(each) for k, each in enumerate(counts)}
    return samples.together({"loss": float(torch.stack(distances).mean()), **use}, shown)


def _sample(
    name: str, codec: UnitCodec, waveform: Float[Tensor, "1 1 n"], made: Float[Tensor, "1 1 n"]
) -> Validation:
    true, decoded, rate = waveform[0, 0], made[0, 0], codec.sample_rate
    picture = draw_mels({"recording": true, "decoded": decoded}, rate)
    return Validation(
        values={},
        sounds={f"{name}_true": (true, rate), f"{name}_made": (decoded, rate)},
        pictures={f"{name}_mel": picture},
    )


def build(recipe: CodecRecipe) -> UnitCodec:
    """The codec around the trained units."""
    units = load_tokenizer(recipe.units)
    if type(units.config) not in KINDS:
        raise ConfigError(
            f"units must be one of {[kind.model_type for kind in KINDS.values()]}, but "
            f"{recipe.units} is a {units.model_type}"
        )
    codec = UnitCodec(replace(recipe.model, units=cast(UnitsConfig, units.config)))
    codec.units.load_state_dict(units.state_dict())
    return codec


def train(recipe: CodecRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the codec saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    device = accelerator.device
    corpus = Corpus.open(recipe.corpus, device=device if recipe.corpus_on_device else None)
    codec = build(recipe)
    with accelerator.main_process_first():
        tokens = encode_corpus(codec.units.to(device), corpus, out / "units")
    mel_loss = MultiScaleMelLoss(corpus.sample_rate).to(device)
    discriminator = build_discriminator(recipe.discriminator)
    generator = own_generator(recipe.loop.seed, accelerator)
    crops = CropSampler(
        corpus.num_samples,
        recipe.crop_frames * codec.hop_length,
        recipe.batch_size,
        recipe.loop.seed,
        indices=corpus.select(split="train"),
        world=world_of(accelerator),
        align=codec.hop_length,
    )
    models = {"codec": codec, "discriminator": discriminator}
    state = TrainingState(
        models=dict(models),
        optimizers={name: make_optimizer(model, recipe.loop) for name, model in models.items()},
        streams={"crops": crops},
        generators={"levels": generator},
        averaged=("codec",),
    )
    held_out = corpus.select(split="test", max_seconds=8)[:40].tolist()
    with start_run(
        recipe,
        out,
        state,
        accelerator=accelerator,
        data=TrainingData.of(corpus, tokens),
        batch_key="batch_size",
        resume=resume,
    ) as run:
        codec_, judge = state.models["codec"], state.models["discriminator"]

        def check() -> Validation:
            return validate(recipe, codec, corpus, tokens, held_out)

        for train_batch in each_batch(run, lambda: draw_batch(recipe, corpus, tokens, crops)):
            batch = train_batch.batch.to(device)
            with accelerator.accumulate(codec_, judge):
                losses, fake = generator_losses(
                    recipe,
                    codec_,
                    active_discriminator(run, recipe.discriminator),
                    mel_loss,
                    batch,
                    generator,
                )
                update(run, losses.total, "codec")
                judged = discriminator_step(run, recipe.discriminator, batch.waveforms, fake)
            losses = replace(losses, parts={**losses.parts, **judged})
            after_step(run, losses, train_batch, validate=check if held_out else None)
        if complete := finish_run(run):
            export(run, "codec", {"model": codec})
    return complete


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_codec", CodecRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
