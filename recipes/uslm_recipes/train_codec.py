"""Train the acoustic tokenizer on top of frozen units: spectral distance first, then a GAN.

    python -m uslm_recipes.train_codec --config mini --out runs/codec \\
        --set corpus=[data/corpus] --set units=runs/units/model --max-minutes 45

The discriminator is EnCodec's multi-scale STFT one, from the package `encodec`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from uslm_recipes.checkpoint import TrainingState
from uslm_recipes.command import run_command
from uslm_recipes.config import parse_recipe_args
from uslm_recipes.data.batches import Crops, CropSampler
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.tokens import TokenCorpus
from uslm_recipes.encode import encode_corpus
from uslm_recipes.loop import (
    Losses,
    Run,
    after_step,
    finish_run,
    fraction_done,
    keep_going,
    make_accelerator,
    make_optimizer,
    seed_everything,
    start_run,
    update,
    world_of,
)
from uslm_recipes.loop_config import LoopConfig
from uslm_recipes.losses import MultiScaleMelLoss, discriminator_loss
from uslm_recipes.waveform_losses import WaveformWeights, waveform_losses
from uslm_tokenizer.acoustic.encodec_bridge import ms_stft_discriminator
from uslm_tokenizer.acoustic.unit_codec import UnitCodec, UnitCodecConfig
from uslm_tokenizer.semantic.unit_tokenizer import UnitTokenizer


@dataclass(frozen=True, kw_only=True)
class CodecRecipe:
    """Everything that decides a run of this recipe."""

    model: UnitCodecConfig = field(default_factory=UnitCodecConfig)
    """The codec to train; its `units` are replaced by those of the tokenizer below."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    units: str = "runs/units/model"
    """The trained semantic tokenizer; it stays as it is."""
    batch_size: int = 16
    """Crops in a batch."""
    crop_frames: int = 40
    """Length of a crop, frames of the codec."""
    weights: WaveformWeights = field(default_factory=WaveformWeights)
    """What counts how much in the waveform."""
    quantizer_weight: float = 7.0
    """Weight of the residual levels' losses, a mean over the levels."""
    adversarial_from: float = 0.3
    """Share of the run that goes by before the discriminator joins."""
    discriminate_every: int = 2
    """Steps of the codec for one of the discriminator."""
    discriminator_filters: int = 16
    """Width of the discriminator."""
    discriminator_windows: tuple[int, ...] = (1024, 512, 256)
    """Windows of its scales, samples."""


@dataclass
class Batch:
    """Crops and the units that belong to them."""

    waveforms: Float[Tensor, "b 1 n"]
    units: Int[Tensor, "b t"]


def collate(corpus: Corpus, tokens: TokenCorpus, crops: Crops, num_frames: int) -> Batch:
    """Read the crops; they begin at whole frames."""
    hop = tokens.header.hop_length
    places = list(zip(crops.indices.tolist(), crops.starts.tolist(), strict=True))
    waveforms = [corpus.waveform(i, start, start + num_frames * hop) for i, start in places]
    units = [tokens.codes(i, start // hop, start // hop + num_frames)[0] for i, start in places]
    return Batch(torch.stack(waveforms)[:, None], torch.stack(units))


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
    codec: UnitCodec, corpus: Corpus, tokens: TokenCorpus, indices: NDArray[np.int64]
) -> dict[str, float]:
    """Spectral distance of whole held-out utterances, decoded from their codes."""
    mel_loss = MultiScaleMelLoss(corpus.sample_rate)
    distances = []
    for index in indices.tolist():
        units = tokens.codes(index)[:1]
        waveform = corpus.waveform(index)[None, None, : units.shape[1] * codec.hop_length]
        distances.append(float(mel_loss(codec(waveform, units).waveform, waveform)))
    return {"loss": float(np.mean(distances))}


def build(recipe: CodecRecipe) -> UnitCodec:
    """The codec around the trained units."""
    units = UnitTokenizer.from_pretrained(recipe.units)
    codec = UnitCodec(replace(recipe.model, units=units.config))
    codec.units.load_state_dict(units.state_dict())
    return codec


def train(recipe: CodecRecipe, out: Path, *, resume: bool = False) -> UnitCodec:
    """Run the recipe in `out`; the finished codec is saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    corpus = Corpus.open(recipe.corpus)
    codec = build(recipe)
    tokens = encode_corpus(codec.units, corpus, out / "units")
    discriminator = ms_stft_discriminator(
        recipe.discriminator_filters, n_ffts=recipe.discriminator_windows
    )
    mel_loss = MultiScaleMelLoss(corpus.sample_rate)
    generator = torch.Generator().manual_seed(recipe.loop.seed)
    crops = CropSampler(
        corpus.num_samples,
        recipe.crop_frames * codec.hop_length,
        recipe.batch_size,
        recipe.loop.seed,
        indices=corpus.select(split="train"),
        world=world_of(accelerator),
        align=codec.hop_length,
    )
    state = TrainingState(
        models={"codec": codec, "discriminator": discriminator},
        optimizers={
            "codec": make_optimizer(codec, recipe.loop),
            "discriminator": make_optimizer(discriminator, recipe.loop),
        },
        streams={"crops": crops},
        generators={"levels": generator},
    )
    held_out = corpus.select(split="test", max_seconds=8)[:40]
    with start_run(recipe.loop, out, state, accelerator=accelerator, resume=resume) as run:
        codec_, judge = state.models["codec"], state.models["discriminator"]

        def check() -> dict[str, float]:
            return validate(codec, corpus, tokens, held_out)

        while keep_going(run):
            place = next(crops)
            batch = collate(corpus, tokens, place, recipe.crop_frames)
            playing = fraction_done(run.progress, recipe.loop) >= recipe.adversarial_from
            losses, fake = generator_losses(
                recipe, codec_, judge if playing else None, mel_loss, batch, generator
            )
            update(run, losses.total, "codec")
            if playing and run.progress.step % recipe.discriminate_every == 0:
                real_scores, _ = judge(batch.waveforms)
                fake_scores, _ = judge(fake)
                judged = discriminator_loss(real_scores, fake_scores)
                update(run, judged, "discriminator")
                losses = replace(losses, parts={**losses.parts, "discriminator": judged})
            after_step(
                run,
                losses,
                audio_seconds=batch.waveforms.numel() / corpus.sample_rate,
                batch=place.indices.tolist(),
                validate=check if len(held_out) else None,
            )
        if finish_run(run):
            export(run, codec, out)
    return codec


def export(run: Run, codec: UnitCodec, out: Path) -> None:
    """Save the trained codec, with averaged weights where there are some."""
    if "codec" in run.state.ema:
        run.state.ema["codec"].copy_to_model()
    codec.eval().save_pretrained(out / "model")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""

    def action() -> None:
        given = parse_recipe_args("train_codec", CodecRecipe, arguments)
        train(given.config, given.out, resume=given.resume)

    return run_command("train_codec", action)


if __name__ == "__main__":
    raise SystemExit(main())
