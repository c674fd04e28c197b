"""Train flow matching, as Vevo's acoustic model is: units and a voice -> mel frames.

    python -m uslm_recipes.train_flow --config mini --out runs/flow \\
        --set corpus=[data/corpus] --set tokens=[runs/units_tokens/0] --max-minutes 60

The frames are those of a vocoder, which turns them into a waveform: its log-mel, standardised.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm.systems.vevo.flow_matching import FlowMatching, FlowMatchingConfig
from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.batches import SecondsBatches
from uslm_recipes.data.corpus import Corpus
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
from uslm_recipes.loop.training_data import BatchLabel, TrainingData
from uslm_tokenizer.audio.read import resample
from uslm_tokenizer.codecs.vevo_vocoder.model import VevoVocoder, VevoVocoderConfig
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.padding import pad_right


@dataclass(frozen=True, kw_only=True)
class FlowRecipe:
    """Everything that decides a run of this recipe."""

    model: FlowMatchingConfig = field(default_factory=FlowMatchingConfig)
    """The model to train."""
    vocoder: VevoVocoderConfig = field(default_factory=VevoVocoderConfig)
    """The vocoder whose frames are made; only its mel spectrogram is used."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    tokens: tuple[str, ...] = ("runs/tokens",)
    """Token folders of the units, as encode makes them; one for each corpus."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    seconds_per_batch: float = 300.0
    """Seconds of speech in a batch."""
    max_seconds: float = 20.0
    """Longer utterances are left out, seconds."""


@dataclass
class Batch:
    """Utterances side by side."""

    frames: Float[Tensor, "b t c"]
    units: Int[Tensor, "b t"]
    lengths: Int[Tensor, " b"]

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        return Batch(**{name: part.to(device) for name, part in vars(self).items()})


class Objective(nn.Module):
    """The model's loss as a module's `forward`, as wrappers for several devices need it."""

    def __init__(self, model: FlowMatching) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, generator: torch.Generator) -> Float[Tensor, ""]:
        """Mean absolute error of the direction."""
        return self.model.loss(batch.frames, batch.units, batch.lengths, generator=generator)


@dataclass(frozen=True)
class Rows:
    """Units of utterances, and the mel frames that they are to become."""

    corpus: Corpus
    tokens: TokenCorpus
    vocoder: VevoVocoder

    @torch.no_grad()
    def batch(self, indices: Sequence[int]) -> Batch:
        """Each utterance by itself, then padded."""
        frames, units = [], []
        for index in indices:
            waveform = self.corpus.waveform(index)[None]
            waveform = resample(waveform, self.corpus.sample_rate, self.vocoder.config.sample_rate)
            mel, codes = self.vocoder.mel(waveform[None])[0], self.tokens.codes(index)[0]
            shared = min(len(mel), len(codes))
            frames.append(mel[:shared])
            units.append(codes[:shared])
        padded, mask = pad_right(frames)
        return Batch(padded, pad_right(units)[0], mask.sum(1))


def check_sizes(recipe: FlowRecipe, rows: Rows) -> None:
    """ConfigError unless model, vocoder and tokens fit together."""
    header, vocoder = rows.tokens.header, recipe.vocoder
    rate = rows.corpus.sample_rate / header.hop_length
    wanted = (
        ("model.frame_dim", recipe.model.frame_dim, vocoder.vocos.in_dim),
        ("model.codebook_size", recipe.model.codebook_size, header.codebook_size),
        ("model.feature_dim", recipe.model.feature_dim, None),
        ("vocoder's frame rate", vocoder.sample_rate / vocoder.vocos.hop_length, rate),
    )
    for name, found, right in wanted:
        if found != right:
            raise ConfigError(f"{name} must be {right}, but is {found}")


def draw_batch(rows: Rows, batches: SecondsBatches) -> TrainBatch[Batch]:
    """The next batch."""
    chosen = next(batches).tolist()
    batch = rows.batch(chosen)
    frames = int(batch.lengths.sum())
    return TrainBatch(
        batch=batch,
        name=BatchLabel(rows.corpus, chosen),
        audio_seconds=float(rows.corpus.seconds[chosen].sum()),
        tokens=frames,
        padded_frames=batch.units.numel(),
        counts={"frames": frames},
    )


@torch.no_grad()
def validate(
    objective: nn.Module, rows: Rows, indices: list[int], device: torch.device
) -> Validation:
    """The loss of held-out speakers, with the same times and noise each time."""
    generator = torch.Generator().manual_seed(0)
    found = [
        float(objective(rows.batch(indices[start : start + 16]).to(device), generator))
        for start in range(0, len(indices), 16)
    ]
    return Validation(values={"loss": float(np.mean(found))})


def train(recipe: FlowRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the model saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    device = accelerator.device
    corpus = Corpus.open(recipe.corpus)
    tokens = TokenCorpus.open(corpus, recipe.tokens)
    rows = Rows(corpus, tokens, VevoVocoder(recipe.vocoder).eval())
    check_sizes(recipe, rows)
    model = FlowMatching(recipe.model).train()
    objective = Objective(model)
    limits: dict[str, Any] = {"min_seconds": 0.5, "max_seconds": recipe.max_seconds}
    indices = corpus.select(split="train", sources=recipe.sources or None, **limits)
    held_out = corpus.select(split="test", **limits)[:64].tolist()
    generator = own_generator(recipe.loop.seed, accelerator)
    batches = SecondsBatches(
        corpus.seconds,
        recipe.seconds_per_batch,
        recipe.loop.seed,
        indices=indices,
        world=world_of(accelerator),
    )
    state = TrainingState(
        models={"model": objective},
        optimizers={"model": make_optimizer(objective, recipe.loop)},
        streams={"batches": batches},
        generators={"noise": generator},
    )
    data = TrainingData.of(corpus, tokens)
    with start_run(recipe, out, state, accelerator=accelerator, data=data, resume=resume) as run:
        prepared = state.models["model"]

        def check() -> Validation:
            return validate(prepared, rows, held_out, device)

        for train_batch in each_batch(run, lambda: draw_batch(rows, batches)):
            with accelerator.accumulate(prepared):
                loss = (
                    prepared(train_batch.batch.to(device), generator)
                    * train_batch.weights["frames"]
                )
                update(run, loss)
            after_step(run, Losses(loss, {}), train_batch, validate=check if held_out else None)
        if complete := finish_run(run):
            export(run, "model", {"model": model})
    return complete


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_flow", FlowRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
