"""Train VoxCPM: text -> latents of a variational codec, patch by patch.

    python -m uslm_recipes.train_voxcpm --config mini --out runs/voxcpm \\
        --set corpus=[data/corpus] --set codec=runs/vae/model --max-minutes 60

`lm` names a causal language model of transformers whose weights it begins from. The run leaves the
model, and `system`, a folder that speaks: `uslm-tts --model runs/voxcpm/system`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from uslm.systems.tiny_folder import save_parts
from uslm.systems.voxcpm.model import VoxBatch, VoxCPM, VoxCPMConfig, VoxLosses
from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.batches import SecondsBatches
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.rows.latent import LatentRows, load_latent_codec
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


@dataclass(frozen=True, kw_only=True)
class VoxCPMRecipe:
    """Everything that decides a run of this recipe."""

    model: VoxCPMConfig = field(default_factory=VoxCPMConfig)
    """The model to train."""
    lm: str | None = None
    """A causal language model to begin from, in place of `model.lm` with random weights."""
    codec: str = "runs/vae/model"
    """The codec whose latents are learnt; it stays as it is."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    seconds_per_batch: float = 120.0
    """Seconds of speech in a batch."""
    max_seconds: float = 20.0
    """Longer utterances are left out, seconds."""


class Objective(nn.Module):
    """The model's loss as a module's `forward`, as wrappers for several devices need it."""

    def __init__(self, model: VoxCPM) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: VoxBatch, generator: torch.Generator) -> VoxLosses:
        """Both losses."""
        return self.model.losses(batch, generator)


def build(recipe: VoxCPMRecipe) -> VoxCPM:
    """The model, on the weights that it begins from."""
    if recipe.lm is None:
        return VoxCPM(recipe.model)
    return VoxCPM.from_causal_lm(recipe.lm, recipe.model)


def check_sizes(model: VoxCPM, rows: LatentRows) -> None:
    """ConfigError unless model, codec and corpus fit together."""
    if model.config.latent_dim != rows.codec.latent_dim:
        raise ConfigError(
            f"model.latent_dim must be {rows.codec.latent_dim}, as of the codec, but is "
            f"{model.config.latent_dim}"
        )
    most = max((int(ids.max()) for ids in rows.corpus.text_ids if len(ids)), default=0)
    if most >= model.config.start_id:
        raise ConfigError(
            f"model.start_id must be above {most}, the highest text id, but is "
            f"{model.config.start_id}"
        )


def draw_batch(model: VoxCPM, rows: LatentRows, batches: SecondsBatches) -> TrainBatch[VoxBatch]:
    """The next batch."""
    chosen = next(batches).tolist()
    batch = model.batch(*rows.rows(chosen))
    patches = int(batch.is_patch.sum())
    return TrainBatch(
        batch=batch,
        name=BatchLabel(rows.corpus, chosen),
        audio_seconds=float(rows.corpus.seconds[chosen].sum()),
        tokens=patches,
        padded_frames=batch.is_patch.numel(),
        counts={"patches": patches},
    )


@torch.no_grad()
def validate(
    objective: nn.Module, model: VoxCPM, rows: LatentRows, indices: list[int], device: torch.device
) -> Validation:
    """The losses of held-out speakers, with the same noise each time."""
    generator, found = torch.Generator().manual_seed(0), []
    for start in range(0, len(indices), 8):
        batch = model.batch(*rows.rows(indices[start : start + 8])).to(device)
        losses = objective(batch, generator)
        found.append([float(losses.total), float(losses.flow), float(losses.stop)])
    names = ("loss", "flow", "stop")
    means = np.mean(found, axis=0)
    return Validation(values={n: float(v) for n, v in zip(names, means, strict=True)})


def export_system(run: Run, rows: LatentRows) -> None:
    """The folder that speaks: the model that was exported, and its codec."""
    if run.rank.is_main:
        parts = {"lm": VoxCPM.from_pretrained(run.out / "model"), "codec": rows.codec}
        save_parts("voxcpm", parts, run.out / "system")
    run.rank.barrier()


def train(recipe: VoxCPMRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the model saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    device = accelerator.device
    corpus = Corpus.open(recipe.corpus)
    rows = LatentRows(corpus, load_latent_codec(recipe.codec), recipe.model.patch_size)
    model = build(recipe).train()
    check_sizes(model, rows)
    objective = Objective(model)
    limits: dict[str, Any] = {"min_seconds": 0.5, "max_seconds": recipe.max_seconds}
    indices = corpus.select(split="train", sources=recipe.sources or None, **limits)
    held_out = corpus.select(split="test", **limits)[:32].tolist()
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
    data = TrainingData.of(corpus)
    with start_run(recipe, out, state, accelerator=accelerator, data=data, resume=resume) as run:
        prepared = state.models["model"]

        def check() -> Validation:
            return validate(prepared, model, rows, held_out, device)

        for train_batch in each_batch(run, lambda: draw_batch(model, rows, batches)):
            with accelerator.accumulate(prepared):
                losses = prepared(train_batch.batch.to(device), generator)
                loss: Float[Tensor, ""] = losses.total * train_batch.weights["patches"]
                update(run, loss)
            parts = {"flow": losses.flow, "stop": losses.stop}
            after_step(run, Losses(loss, parts), train_batch, validate=check if held_out else None)
        if complete := finish_run(run):
            export(run, "model", {"model": model})
            export_system(run, rows)
    return complete


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_voxcpm", VoxCPMRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
