"""Training of a vocoder: what a frozen model reads in recordings -> the recordings.

Crops are read alone, so that their edges are heard with less before and after them than later.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from uslm.systems.make_a_voice.vocoder import CodeVocoder
from uslm.systems.vec_tok.vocoder import VectorVocoder
from uslm_recipes.cards.export import export
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
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.objectives.waveform import MultiResolutionSTFTLoss
from uslm_tokenizer.objectives.weighted import WaveformWeights, waveform_losses


@dataclass(frozen=True, kw_only=True)
class VocoderRecipe:
    """Settings of a run, beside the vocoder and its input."""

    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    batch_size: int = 12
    """Crops in a batch."""
    crop_frames: int = 64
    """Length of a crop, frames."""
    weights: WaveformWeights = field(default_factory=WaveformWeights)
    """What counts how much in the waveform."""
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    """The discriminators."""


@dataclass(frozen=True)
class Pair:
    """A vocoder that knows nothing, and the frozen model whose output it decodes."""

    reader: AudioTokenizer
    vocoder: CodeVocoder | VectorVocoder
    reads: Callable[[Tensor], Tensor]
    """Waveforms [b 1 n] to what the vocoder decodes."""

    @torch.no_grad()
    def read(self, waveforms: Tensor) -> Tensor:
        """Input of the vocoder; nothing is learnt on the way there."""
        return self.reads(waveforms)


@torch.no_grad()
def validate(
    pair: Pair,
    spectral_loss: nn.Module,
    corpus: Corpus,
    indices: Sequence[int],
    num_samples: int,
) -> Validation:
    """Spectral distance of held-out utterances from what is made of them; some to hear."""
    vocoder = pair.vocoder
    distances, sounds = [], dict[str, tuple[Tensor, int]]()
    for number, index in enumerate(indices):
        real = corpus.waveform(index)[None, None].to(vocoder.device)
        made = vocoder.decode(pair.read(real))[..., : real.shape[-1]]
        real = real[..., : made.shape[-1]]
        distances.append(spectral_loss(made, real))
        if number < num_samples:
            sounds[f"decoded{number}_true"] = (real[0, 0], vocoder.sample_rate)
            sounds[f"decoded{number}_made"] = (made[0, 0], vocoder.sample_rate)
    return Validation(values={"loss": float(torch.stack(distances).mean())}, sounds=sounds)


def train_vocoder(
    recipe: VocoderRecipe, out: Path, build: Callable[[Corpus], Pair], *, resume: bool
) -> bool:
    """Run the recipe in `out`; True when it is over, and the vocoder saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    device = accelerator.device
    corpus = Corpus.open(recipe.corpus)
    pair = build(corpus)
    vocoder = pair.vocoder
    pair.reader.to(device)
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
            return validate(pair, spectral_loss, corpus, held_out, count)

        for train_batch in each_batch(
            run, lambda: draw_batch(recipe.crop_frames, hop, corpus, Teachers(), crops)
        ):
            real = train_batch.batch.to(device).waveforms
            with accelerator.accumulate(vocoder_, judge):
                made = vocoder_(pair.read(real))
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
