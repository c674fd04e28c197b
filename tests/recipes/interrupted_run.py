"""A toy recipe for other tests: `python interrupted_run.py kill OUT SEED` or `... train OUT`.

`kill` forks the run again and again and kills it, at random moments and in front of random writes
to the disk, until it comes to its end. `train` trains once; under two processes both take part.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from uslm_recipes.data.batches import SecondsBatches
from uslm_recipes.loop import (
    LoopConfig,
    Losses,
    TrainBatch,
    TrainingState,
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

WRITES = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir"}
"""Events of Python's audit that change the disk, or may."""


@dataclass(frozen=True)
class ToyRecipe:
    """As small as a recipe's config can be."""

    loop: LoopConfig = LoopConfig(  # noqa: RUF009 - frozen
        steps=40,
        warmup_steps=5,
        save_every_minutes=1e-9,
        ema_decay=0.9,
        log_every=10,
        gradient_accumulation=2,
        read_ahead=2,
    )


class Toy(nn.Module):
    """Small, with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.2), nn.Linear(16, 4))

    def forward(self, x: Tensor) -> Tensor:
        return (self.layers(x) - x).square().mean()  # type: ignore[no-any-return]


def train(
    out: Path, *, resume: bool = False, steps: int | None = None, sharded: bool = False
) -> None:
    """Train the toy to its end, or end a segment of it after some steps."""
    recipe = ToyRecipe()
    seed_everything(0)
    accelerator = make_accelerator(recipe.loop, out)
    if sharded:
        shard(accelerator)
    batches = SecondsBatches(np.linspace(1, 4, 50), 8, seed=0, world=world_of(accelerator))
    model = Toy()
    state = TrainingState(
        models={"model": model},
        optimizers={"model": make_optimizer(model, recipe.loop)},
        streams={"batches": batches},
        shardable=True,
    )

    def draw() -> TrainBatch[Sequence[int]]:
        chosen = next(batches).tolist()
        return TrainBatch(batch=chosen, name=chosen, counts={"rows": len(chosen)})

    with start_run(recipe, out, state, accelerator=accelerator, resume=resume) as run:
        prepared = state.models["model"]
        for train_batch in each_batch(run, draw):
            with accelerator.accumulate(prepared):
                loss = (
                    prepared(torch.randn(len(train_batch.batch), 4)) * train_batch.weights["rows"]
                )
                update(run, loss)
            after_step(run, Losses(loss), train_batch)
            print("BATCH", accelerator.process_index, run.progress.step, train_batch.batch)
            run.stop.requested = run.progress.step == steps
        finish_run(run)


def shard(accelerator: Any) -> None:
    """Let processes without a GPU share weights out, which accelerate does with GPUs only."""
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    accelerator.state.distributed_type = DistributedType.FSDP
    accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        auto_wrap_policy="transformer_based_wrap",
        transformer_cls_names_to_wrap=["Linear"],
        cpu_ram_efficient_loading=False,
    )


def kill_until_done(out: Path, seed: int) -> int:
    """How often the run was killed before it came to its end."""
    make_optimizer(Toy(), ToyRecipe().loop)  # imports half of PyTorch: once, not in every child
    draw = random.Random(seed)
    kills = 0
    while not killed_or_done(out, draw):
        kills += 1
    return kills


def killed_or_done(out: Path, draw: random.Random) -> bool:
    """Go on with the run and kill it somewhere; whether it came to its end before."""
    batches, seconds, writes = draw.randint(1, 6), draw.uniform(0, 0.02), draw.randint(1, 60)
    inside = draw.random() < 0.5
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writing, 1)
        sys.stdout = os.fdopen(1, "w", buffering=1)
        if inside:
            die_before_write(writes, str(out))
        train(out, resume=True)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as lines:
        for line in lines:
            batches -= line.startswith("BATCH")
            if batches == 0 and not inside:
                time.sleep(seconds)
                os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


def die_before_write(number: int, folder: str) -> None:
    """Kill this process in front of its so-manieth write below a folder."""

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal number
        if event in WRITES and str(arguments[0]).startswith(folder):
            number -= 1
            if number == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "kill":
        print("KILLS", kill_until_done(Path(sys.argv[2]), int(sys.argv[3])))
    else:
        train(Path(sys.argv[2]), resume=True)
