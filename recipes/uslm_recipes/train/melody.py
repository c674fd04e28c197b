"""Train MeLoDy's diffusion: units -> latents of a variational codec, a stage 2 without codes.

    python -m uslm_recipes.train_melody --config mini --out runs/diffusion \\
        --set corpus=[data/corpus] --set tokens=[runs/units_tokens/0] --set codec=runs/vae/model

Stage 1 is trained by `train_ar --set kind=melody_lm` on the same tokens. With `units` and `lm` the
run leaves a folder that speaks as well: `uslm-tts --model runs/diffusion/system`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from uslm.models.latent import LatentBatch, LatentRow
from uslm.systems.melody.model import DualPath, DualPathConfig, MelodyLM
from uslm.systems.tiny_folder import save_parts
from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.batches import SecondsBatches
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.rows.latent import LatentRows, load_latent_codec
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
from uslm_recipes.loop.run import Run
from uslm_recipes.loop.training_data import BatchLabel, TrainingData
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.registry import load_tokenizer

MEASURED = 64
"""Utterances that tell the scale of latents."""


@dataclass(frozen=True, kw_only=True)
class MelodyRecipe:
    """Everything that decides a run of this recipe."""

    model: DualPathConfig = field(default_factory=DualPathConfig)
    """The model to train."""
    codec: str = "runs/vae/model"
    """The codec whose latents are learnt; it stays as it is."""
    units: str | None = None
    """The tokenizer of the units, for a folder that speaks."""
    lm: str | None = None
    """A trained `melody_lm`, for a folder that speaks."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    tokens: tuple[str, ...] = ("runs/tokens",)
    """Token folders of the units, as encode makes them; one for each corpus."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    seconds_per_batch: float = 120.0
    """Seconds of speech in a batch."""
    max_seconds: float = 20.0
    """Longer utterances are left out, seconds."""


class Objective(nn.Module):
    """The model's loss as a module's `forward`, as wrappers for several devices need it."""

    def __init__(self, model: DualPath) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: LatentBatch, generator: torch.Generator) -> Float[Tensor, ""]:
        """Mean squared error of the velocity."""
        return self.model.loss(batch, generator)


@dataclass(frozen=True)
class Rows:
    """Units of utterances, and the latents that they are to become."""

    latents: LatentRows
    tokens: TokenCorpus
    model: DualPath

    def batch(self, indices: Sequence[int]) -> LatentBatch:
        """Each utterance as far as it has both."""
        rows = []
        for index in indices:
            units, latents = self.tokens.codes(index)[0], self.latents.latents(index)
            units = units[: int(len(latents) / self.model.frames_per_unit)]
            latents = latents[: self.model.num_frames(len(units))]
            rows.append(LatentRow(units=units, latents=latents))
        return self.model.batch(rows)


def check_sizes(recipe: MelodyRecipe, rows: Rows) -> None:
    """ConfigError unless model, codec and tokens fit together."""
    header, codec = rows.tokens.header, rows.latents.codec
    rate = codec.frame_rate * header.hop_length / rows.latents.corpus.sample_rate
    wanted = (
        ("model.latent_dim", recipe.model.latent_dim, codec.latent_dim),
        ("model.num_units", recipe.model.num_units, header.codebook_size),
        ("model.frames_per_unit", recipe.model.frames_per_unit, rate),
    )
    for name, found, right in wanted:
        if abs(found - right) > 1e-6:
            raise ConfigError(f"{name} must be {right:g}, but is {found:g}")


def draw_batch(rows: Rows, batches: SecondsBatches) -> TrainBatch[LatentBatch]:
    """The next batch."""
    chosen = next(batches).tolist()
    batch = rows.batch(chosen)
    frames = int(batch.mask.sum())
    corpus = rows.latents.corpus
    return TrainBatch(
        batch=batch,
        name=BatchLabel(corpus, chosen),
        audio_seconds=float(corpus.seconds[chosen].sum()),
        tokens=frames,
        padded_frames=batch.mask.numel(),
        counts={"frames": frames},
    )


@torch.no_grad()
def validate(
    objective: nn.Module, rows: Rows, indices: list[int], device: torch.device
) -> Validation:
    """The loss of held-out speakers, with the same angles and noise each time."""
    generator = torch.Generator().manual_seed(0)
    found = [
        float(objective(rows.batch(indices[start : start + 8]).to(device), generator))
        for start in range(0, len(indices), 8)
    ]
    return Validation(values={"loss": float(np.mean(found))})


def export_system(run: Run, recipe: MelodyRecipe, rows: Rows) -> None:
    """The folder that speaks, where all its parts are known."""
    if run.rank.is_main and recipe.units is not None and recipe.lm is not None:
        parts = {
            "units": load_tokenizer(recipe.units),
            "lm": MelodyLM.from_pretrained(recipe.lm),
            "diffusion": DualPath.from_pretrained(run.out / "model"),
            "codec": rows.latents.codec,
        }
        save_parts("melody", parts, run.out / "system")
    run.rank.barrier()


def train(recipe: MelodyRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the model saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    device = accelerator.device
    corpus = Corpus.open(recipe.corpus)
    tokens = TokenCorpus.open(corpus, recipe.tokens)
    model = DualPath(recipe.model).train()
    rows = Rows(LatentRows(corpus, load_latent_codec(recipe.codec)), tokens, model)
    check_sizes(recipe, rows)
    objective = Objective(model)
    limits: dict[str, Any] = {"min_seconds": 0.5, "max_seconds": recipe.max_seconds}
    indices = corpus.select(split="train", sources=recipe.sources or None, **limits)
    held_out = corpus.select(split="test", **limits)[:32].tolist()
    model.fit(torch.cat([rows.latents.latents(i) for i in indices[:MEASURED].tolist()]))
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
            export_system(run, recipe, rows)
    return complete


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_melody", MelodyRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
