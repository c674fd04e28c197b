"""A toy recipe, for tests of the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from uslm_recipes.data.batches import SecondsBatches
from uslm_recipes.loop import (
    LoopConfig,
    Losses,
    Run,
    TrainBatch,
    TrainingState,
    Validation,
    after_step,
    each_batch,
    finish_run,
    make_optimizer,
    seed_everything,
    start_run,
    update,
)


@dataclass(frozen=True, kw_only=True)
class ToyRecipe:
    """As small as a recipe's config can be."""

    loop: LoopConfig
    seconds_per_batch: float = 8.0


class Toy(nn.Module):
    """Dropout, tied weights and a buffer: what a resumed run could get wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.inner.weight
        self.norm = nn.BatchNorm1d(4)
        self.dropout = nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.tied(self.norm(self.dropout(self.inner(x))))
        return made.square().mean()


def toy_run(
    loop: LoopConfig,
    out: Path,
    *,
    resume: bool = False,
    model: Callable[[], nn.Module] = Toy,
    optimizer: Callable[[nn.Module, LoopConfig], torch.optim.Optimizer] = make_optimizer,
    accelerator: Accelerator | None = None,
) -> Run:
    """A run that has begun."""
    seed_everything(loop.seed)
    built = model()
    recipe = ToyRecipe(loop=loop)
    batches = SecondsBatches(np.linspace(1, 4, 23), recipe.seconds_per_batch, loop.seed)
    return start_run(
        recipe,
        out,
        TrainingState(
            models={"model": built},
            optimizers={"model": optimizer(built, loop)},
            streams={"batches": batches},
            generators={"noise": torch.Generator().manual_seed(1)},
        ),
        accelerator=accelerator,
        resume=resume,
    )


def draw_toy(run: Run) -> TrainBatch[list[int]]:
    """The next batch, of which only the size matters."""
    chosen = next(run.state.streams["batches"]).tolist()  # type: ignore[call-overload]
    counts = {"rows": len(chosen)}
    return TrainBatch(
        batch=chosen, name=chosen, audio_seconds=1.0, tokens=10, padded_frames=20, counts=counts
    )


def train_toy(
    loop: LoopConfig,
    out: Path,
    *,
    resume: bool = False,
    stop_at: int | None = None,
    poison: range = range(0),
    model: Callable[[], nn.Module] = Toy,
    accelerator: Accelerator | None = None,
    validate: Callable[[], Validation] | None = None,
) -> Run:
    """The loop of a recipe; as if killed after step `stop_at`; NaN data in steps of `poison`."""
    with toy_run(loop, out, resume=resume, model=model, accelerator=accelerator) as run:
        prepared, noise = run.state.models["model"], run.state.generators["noise"]
        for train_batch in each_batch(run, lambda: draw_toy(run)):
            size = (len(train_batch.batch) + 2, 4)
            data = torch.randn(size, generator=noise) + np.random.rand()  # noqa: NPY002
            if run.progress.step in poison:
                data = data * float("nan")
            with run.accelerator.accumulate(prepared):
                loss = prepared(data) * train_batch.weights["rows"]
                update(run, loss)
            losses = Losses(loss, {"rows": float(len(train_batch.batch))})
            after_step(run, losses, train_batch, validate=validate or validate_toy)
            if stop_at is not None and run.progress.step == stop_at:
                return run
        finish_run(run)
    return run


def validate_toy() -> Validation:
    """It draws too, as a validation may."""
    return Validation(values={"loss": float(torch.rand(()))})
