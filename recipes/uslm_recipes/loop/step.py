"""One step: its gradients and its update; then the log, validation and checkpoints when due."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from uslm_recipes.loop.checkpoint import CheckpointNotWritten, checkpoint_name, save_checkpoint
from uslm_recipes.loop.config import fraction_done, schedule
from uslm_recipes.loop.non_finite_guard import check_weights
from uslm_recipes.loop.optimizer import set_learning_rate, step_if
from uslm_recipes.loop.reader import TrainBatch
from uslm_recipes.loop.run import Run
from uslm_recipes.loop.sharding import put_together
from uslm_recipes.loop.validation import Validation, keep_samples


@dataclass(frozen=True)
class Losses:
    """Losses of a training step."""

    total: Tensor
    """The loss to follow."""
    parts: Mapping[str, Tensor | float] = field(default_factory=dict)
    """What it is made of, and whatever else is worth a line in the log."""


def update(run: Run, loss: Tensor, name: str = "model") -> Tensor | None:
    """Backward, and once the gradients are whole: clip them, step, zero. Returns their norm.

    A step whose gradients are not finite changes nothing. None: more batches belong to the step.
    """
    model, optimizer = run.state.models[name], run.state.optimizers[name]
    run.accelerator.backward(loss)
    if not run.accelerator.sync_gradients:
        return None
    norm = put_together(
        run.accelerator.clip_grad_norm_(model.parameters(), run.config.max_grad_norm)
    )
    finite = norm.isfinite()
    run.guard.current.append(finite)
    set_learning_rate(optimizer, run.config.learning_rate * schedule(run.progress, run.config))
    step_if(finite, optimizer)
    optimizer.zero_grad(set_to_none=True)
    return norm


def after_step(
    run: Run,
    losses: Losses,
    train_batch: TrainBatch[Any],
    *,
    validate: Callable[[], Validation] | None = None,
) -> None:
    """Count a batch; after a whole step average, log, validate and save when it is time to.

    `validate` runs with the averaged weights, in eval mode and without gradients.
    """
    run.flops.end(train_batch.padded_frames)
    run.meter.add({"loss": losses.total, **losses.parts})
    run.meter.count(train_batch, run.accelerator.num_processes)
    run.progress.audio_seconds += train_batch.audio_seconds * run.accelerator.num_processes
    if not run.accelerator.sync_gradients:
        return
    run.meter.steps += 1
    run.progress.step += 1
    step = run.progress.step
    run.guard.end_step(step, train_batch.name)
    for ema in run.state.ema.values():
        ema.update(step)
    if step % run.config.log_every == 0:
        _log(run)
    if validate is not None and run.config.validate_every and step % run.config.validate_every == 0:
        _validate(run, validate)
    if run.progress.seconds_used - run.saved_at >= 60 * run.config.save_every_minutes:
        _save_and_go_on(run)
    run.bar.update()


def save(run: Run) -> Path:
    """Write a checkpoint of the last whole step; raises CheckpointNotWritten."""
    began = time.monotonic()
    if run.saved is not None and run.saved.name == checkpoint_name(run.progress.step):
        return run.saved
    run.guard.look(run.progress, run.log)
    check_weights(run.state.models, run.progress.step)
    run.saved_at = run.progress.seconds_used
    try:
        run.saved = save_checkpoint(
            run.checkpoints,
            run.state,
            about=run.about(),
            keep_last=run.config.keep_last,
            rank=run.rank,
        )
        return run.saved
    finally:
        run.meter.pause(time.monotonic() - began)


def finish_run(run: Run) -> bool:
    """Write the last checkpoint; whether the whole run is over and not only this process."""
    if run.meter.steps:
        _log(run)
    path = save(run)
    complete = fraction_done(run.progress, run.config) >= 1
    kind = "done" if complete else "paused"
    minutes = run.progress.seconds_used / 60
    run.log.record(kind, run.progress.step, {"minutes": minutes, "checkpoint": path.name})
    if run.accelerator.trackers:
        run.accelerator.end_training()
    run.stop.release()
    return complete


def _save_and_go_on(run: Run) -> None:
    """A full disk costs this checkpoint, not the work: the next one may fit."""
    try:
        save(run)
    except CheckpointNotWritten as problem:
        run.log.record("unsaved", run.progress.step, {"reason": str(problem)})


def _log(run: Run) -> None:
    run.guard.look(run.progress, run.log)
    several = run.accelerator.num_processes > 1
    values = run.meter.read(run.flops.per_slot, (lambda s: _mean(run, s)) if several else None)
    values["learning_rate"] = run.config.learning_rate * schedule(run.progress, run.config)
    values["minutes"] = run.progress.seconds_used / 60
    run.log.record("train", run.progress.step, values)
    run.bar.update(loss=values["loss"])


def _mean(run: Run, sums: Tensor) -> Tensor:
    own = sums.to(run.accelerator.device)
    mean: Tensor = run.accelerator.reduce(own, reduction="mean")
    return mean.cpu()


def _validate(run: Run, validate: Callable[[], Validation]) -> None:
    began = time.monotonic()
    with ExitStack() as inside, torch.no_grad():
        for ema in run.state.ema.values():
            inside.enter_context(ema.applied())
        for model in run.state.models.values():
            inside.enter_context(_in_eval_mode(model))
        inside.enter_context(run.accelerator.autocast())
        found = validate()
    loss = found.values.get("loss")
    if loss is not None and (run.progress.best is None or loss < run.progress.best):
        run.progress.best = loss
    run.log.record("valid", run.progress.step, found.values)
    if run.rank.is_main:
        tracked = run.accelerator if run.accelerator.trackers else None
        keep_samples(found, run.out, run.progress.step, tracked)
    run.meter.pause(time.monotonic() - began)


@contextmanager
def _in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Afterwards every part is in the mode it was in: frozen parts stay in eval mode."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
