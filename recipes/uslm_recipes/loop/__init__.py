"""The training loop that recipes share.

with start_run(recipe, out, state, data=data, resume=True) as run:
    model = run.state.models["model"]
    for train_batch in each_batch(run, draw):
        with run.accelerator.accumulate(model):
            loss = model(train_batch.batch) * train_batch.weights["frames"]
            update(run, loss)
        after_step(run, Losses(loss), train_batch, validate=check)
    if finish_run(run):
        export(run, {"model": model})
"""

from uslm_recipes.loop.config import LoopConfig, fraction_done, schedule
from uslm_recipes.loop.launch import make_accelerator, own_generator, seed_everything, world_of
from uslm_recipes.loop.non_finite_guard import TrainingDiverged
from uslm_recipes.loop.optimizer import make_optimizer
from uslm_recipes.loop.progress import Progress, TrainingState
from uslm_recipes.loop.reader import TrainBatch
from uslm_recipes.loop.run import Run, each_batch, keep_going, start_run
from uslm_recipes.loop.step import Losses, after_step, finish_run, save, update
from uslm_recipes.loop.validation import Validation

__all__ = [
    "LoopConfig",
    "Losses",
    "Progress",
    "Run",
    "TrainBatch",
    "TrainingDiverged",
    "TrainingState",
    "Validation",
    "after_step",
    "each_batch",
    "finish_run",
    "fraction_done",
    "keep_going",
    "make_accelerator",
    "make_optimizer",
    "own_generator",
    "save",
    "schedule",
    "seed_everything",
    "start_run",
    "update",
    "world_of",
]
