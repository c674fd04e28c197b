"""A toy recipe for other tests: `python interrupted_run.py kill OUT SEED` or `... train OUT`.

`kill` forks the run again and again and kills it at random moments until it comes to its end.
`train` trains once; under two processes both take part.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from uslm_recipes.checkpoint import TrainingState
from uslm_recipes.data.batches import SecondsBatches
from uslm_recipes.loop import (
    LoopConfig,
    Losses,
    after_step,
    finish_run,
    keep_going,
    make_accelerator,
    make_optimizer,
    seed_everything,
    start_run,
    update,
    world_of,
)

LOOP = LoopConfig(steps=30, warmup_steps=5, save_every_minutes=1e-9, ema_decay=0.9, log_every=10)


class Toy(nn.Module):
    """Small, with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.2), nn.Linear(16, 4))

    def forward(self, x: Tensor) -> Tensor:
        return (self.layers(x) - x).square().mean()  # type: ignore[no-any-return]


def train(out: Path, *, resume: bool = False) -> None:
    """Train the toy to its end."""
    seed_everything(0)
    accelerator = make_accelerator(LOOP, out)
    batches = SecondsBatches(np.linspace(1, 4, 50), 8, seed=0, world=world_of(accelerator))
    model = Toy()
    state = TrainingState(
        models={"model": model},
        optimizers={"model": make_optimizer(model, LOOP)},
        streams={"batches": batches},
    )
    with start_run(LOOP, out, state, accelerator=accelerator, resume=resume) as run:
        prepared = state.models["model"]
        while keep_going(run):
            indices = next(batches)
            with accelerator.accumulate(prepared):
                loss = prepared(torch.randn(len(indices), 4))
                update(run, loss)
            after_step(run, Losses(loss), batch=indices)
            print("BATCH", accelerator.process_index, run.progress.step, indices.tolist())
        finish_run(run)


def kill_until_done(out: Path, seed: int) -> int:
    """How often the run was killed before it came to its end."""
    make_optimizer(Toy(), LOOP)  # imports half of PyTorch: once here, not in every child
    draw = random.Random(seed)
    kills = 0
    while not killed_or_done(out, steps=draw.randint(1, 8), seconds=draw.uniform(0, 0.02)):
        kills += 1
    return kills


def killed_or_done(out: Path, steps: int, seconds: float) -> bool:
    """Go on with the run and kill it so long after so many steps; whether it ended before."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writing, 1)
        sys.stdout = os.fdopen(1, "w", buffering=1)
        train(out, resume=True)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as lines:
        for line in lines:
            steps -= line.startswith("BATCH")
            if steps == 0:
                time.sleep(seconds)
                os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "kill":
        print("KILLS", kill_until_done(Path(sys.argv[2]), int(sys.argv[3])))
    else:
        train(Path(sys.argv[2]), resume=True)
