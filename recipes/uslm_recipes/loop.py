"""What every recipe's training loop shares: limits, schedule, update, log, checkpoints, stopping.

with start_run(config.loop, out, state, resume=True) as run:
    model = run.state.models["model"]
    while keep_going(run):
        batch = next(batches)
        with run.accelerator.accumulate(model):
            losses = train_step(model, batch)
            update(run, losses.total)
        after_step(run, losses, audio_seconds=..., batch=batch, validate=...)
    finish_run(run)
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from uslm_recipes.checkpoint import (
    Progress,
    Rank,
    TrainingState,
    list_checkpoints,
    load_newest,
    save_checkpoint,
    unwrap,
)
from uslm_recipes.data.batches import World
from uslm_recipes.ema import Ema
from uslm_recipes.loop_config import LoopConfig, fraction_done, schedule
from uslm_recipes.optimizer import make_optimizer, set_learning_rate, step_if
from uslm_recipes.run_log import Meter, RunLog
from uslm_recipes.stopping import StopSignal
from uslm_tokenizer.errors import ConfigError, EnvironmentProblem, GenerationError, UserError

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = [
    "LoopConfig",
    "Losses",
    "Progress",
    "Run",
    "TrainingDiverged",
    "TrainingState",
    "after_step",
    "finish_run",
    "fraction_done",
    "keep_going",
    "make_accelerator",
    "make_optimizer",
    "save",
    "schedule",
    "seed_everything",
    "start_run",
    "update",
    "world_of",
]
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Losses:
    """What a training step found."""

    total: Tensor
    """The loss to follow."""
    parts: Mapping[str, Tensor | float] = field(default_factory=dict)
    """What it is made of, and whatever else is worth a line in the log."""


# ---- building


def make_accelerator(config: LoopConfig, out: Path) -> Accelerator:
    """The accelerator of this process, with the trackers that the config names."""
    try:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState, GradientState
    except ImportError as problem:
        raise EnvironmentProblem("recipes need accelerate: pip install 'uslm[train]'") from problem
    # Accelerate keeps one state a process; a second run has its own precision and step count.
    AcceleratorState._reset_state()
    GradientState._reset_state()
    return Accelerator(
        mixed_precision="bf16" if config.precision == "bf16" else "no",
        gradient_accumulation_steps=config.gradient_accumulation,
        log_with=list(config.trackers) or None,
        project_dir=str(out),
    )


def world_of(accelerator: Accelerator) -> World:
    """The place of this process, for the data streams."""
    return World(accelerator.process_index, accelerator.num_processes)


def seed_everything(seed: int) -> None:
    """Seed every global generator; recipes call it once, before they build the model."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries may draw from it
    torch.manual_seed(seed)


# ---- the run


class TrainingDiverged(GenerationError):
    """Gradients or weights are no longer finite; the last checkpoint is from before."""


@dataclass(kw_only=True)
class Run:
    """What a recipe holds while it trains. As a context it gives the signals back at its end."""

    config: LoopConfig
    out: Path
    accelerator: Accelerator
    state: TrainingState
    log: RunLog
    rank: Rank
    stop: StopSignal = field(default_factory=StopSignal)
    meter: Meter = field(default_factory=Meter)
    piece_began: float = field(default_factory=time.monotonic)
    last_tick: float = field(default_factory=time.monotonic)
    saved_at: float = 0.0
    """`progress.seconds_used` at the last checkpoint."""
    finite: list[Tensor] = field(default_factory=list)
    """Whether the gradients of the current step were finite, for each optimizer."""
    unseen: list[tuple[Tensor, int, object]] = field(default_factory=list)
    """The same for steps not yet looked at, with their number and batch."""
    skipped_in_a_row: int = 0

    @property
    def progress(self) -> Progress:
        return self.state.progress

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop.release()
        if isinstance(error, torch.OutOfMemoryError):
            raise EnvironmentProblem(
                f"the device has too little memory at step {self.progress.step}: take smaller "
                "batches and a larger loop.gradient_accumulation, then --resume"
            ) from error


def start_run(
    config: LoopConfig,
    out: Path,
    state: TrainingState,
    *,
    accelerator: Accelerator | None = None,
    resume: bool = False,
) -> Run:
    """Prepare models and optimizers for the device, and come back to the newest checkpoint.

    `state.models` and `state.optimizers` are replaced by their prepared forms: use those.
    Without `resume` the folder must hold no run yet.
    """
    if config.steps is None and config.max_minutes is None:
        raise ConfigError("nothing says how long to train: give loop.steps or loop.max_minutes")
    accelerator = accelerator or make_accelerator(config, out)
    if not resume and list_checkpoints(out / CHECKPOINTS):
        raise UserError(f"{out} holds a run already; give --resume, or another --out")
    _prepare(state, config, accelerator)
    rank = Rank(accelerator.process_index, accelerator.wait_for_everyone)
    found = load_newest(out / CHECKPOINTS, state, rank=rank) if resume else None
    if config.trackers:
        accelerator.init_trackers("uslm")
    log = RunLog(out, accelerator if config.trackers else None, is_main=rank.is_main)
    log.begin(state.progress.step, resumed_from=found)
    run = Run(config=config, out=out, accelerator=accelerator, state=state, log=log, rank=rank)
    run.saved_at = state.progress.seconds_used
    run.stop.listen()
    return run


def keep_going(run: Run) -> bool:
    """Whether to take another batch; counts the time. All processes get the same answer."""
    if not run.accelerator.sync_gradients:  # a step is half done
        return True
    now = time.monotonic()
    run.progress.seconds_used += now - run.last_tick
    run.last_tick = now
    piece_seconds, stop = now - run.piece_began, run.stop.requested
    if run.accelerator.num_processes > 1:
        piece_seconds, stop = _agree(run, piece_seconds, stop)
    if stop or fraction_done(run.progress, run.config) >= 1:
        return False
    return run.config.piece_minutes is None or piece_seconds < 60 * run.config.piece_minutes


def update(run: Run, loss: Tensor, name: str = "model") -> Tensor | None:
    """Backward, and once the gradients are whole: clip them, step, zero. Returns their norm.

    A step whose gradients are not finite changes nothing. None: more batches belong to the step.
    """
    model = run.state.models[name]
    optimizer = run.state.optimizers[name]
    run.accelerator.backward(loss)
    if not run.accelerator.sync_gradients:
        return None
    norm: Tensor = run.accelerator.clip_grad_norm_(model.parameters(), run.config.max_grad_norm)
    finite = norm.isfinite()
    run.finite.append(finite)
    set_learning_rate(optimizer, run.config.learning_rate * schedule(run.progress, run.config))
    step_if(finite, optimizer)
    optimizer.zero_grad(set_to_none=True)
    return norm


def after_step(
    run: Run,
    losses: Losses,
    *,
    audio_seconds: float = 0.0,
    batch: object = None,
    validate: Callable[[], Mapping[str, float]] | None = None,
) -> None:
    """Count a batch; after a whole step average, log, validate and save when it is time to.

    `batch` names the data in messages. `validate` runs with the averaged weights, in eval mode and
    without gradients; its "loss", if there is one, decides what the best step was.
    """
    everywhere = audio_seconds * run.accelerator.num_processes
    run.meter.add({"loss": losses.total, **losses.parts})
    run.meter.audio_seconds += everywhere
    run.progress.audio_seconds += everywhere
    if not run.accelerator.sync_gradients:
        return
    run.meter.steps += 1
    run.progress.step += 1
    step = run.progress.step
    run.unseen += [(finite, step, batch) for finite in run.finite]
    run.finite.clear()
    for ema in run.state.ema.values():
        ema.update(step)
    if step % run.config.log_every == 0:
        _log(run)
    if validate is not None and run.config.validate_every and step % run.config.validate_every == 0:
        _validate(run, validate)
    if run.progress.seconds_used - run.saved_at >= 60 * run.config.save_every_minutes:
        save(run)


def save(run: Run) -> Path:
    """Write a checkpoint of the last whole step."""
    began = time.monotonic()
    _look_at_steps(run)
    for name, model in run.state.models.items():
        bad = [key for key, tensor in model.state_dict().items() if tensor.isnan().any()]
        if bad:
            raise TrainingDiverged(
                f"{name} has weights that are not a number at step {run.progress.step}: {bad[:3]}; "
                "the last checkpoint is kept"
            )
    folder = run.out / CHECKPOINTS
    path = save_checkpoint(folder, run.state, keep_last=run.config.keep_last, rank=run.rank)
    run.saved_at = run.progress.seconds_used
    run.meter.pause(time.monotonic() - began)
    return path


def finish_run(run: Run) -> bool:
    """Write the last checkpoint; whether the whole run is over and not only this piece."""
    if run.meter.steps:
        _log(run)
    path = save(run)
    complete = fraction_done(run.progress, run.config) >= 1
    kind = "done" if complete else "paused"
    minutes = run.progress.seconds_used / 60
    run.log.record(kind, run.progress.step, {"minutes": minutes, "checkpoint": path.name})
    if run.config.trackers:
        run.accelerator.end_training()
    run.stop.release()
    return complete


# ---- parts of a step


def _prepare(state: TrainingState, config: LoopConfig, accelerator: Accelerator) -> None:
    for name, model in state.models.items():
        state.models[name] = accelerator.prepare(model)
        if config.ema_decay is not None and name in state.averaged:
            state.ema[name] = Ema(unwrap(state.models[name]), config.ema_decay)
    for name, optimizer in state.optimizers.items():
        state.optimizers[name] = accelerator.prepare(optimizer)


def _agree(run: Run, piece_seconds: float, stop: bool) -> tuple[float, bool]:
    """One clock, that of the first process, and a stop for all when one of them is told to."""
    own = torch.tensor(
        [[run.progress.seconds_used, piece_seconds, float(stop)]], device=run.accelerator.device
    )
    every = run.accelerator.gather(own).double().cpu()
    run.progress.seconds_used = float(every[0, 0])
    return float(every[0, 1]), bool(every[:, 2].any())


def _look_at_steps(run: Run) -> None:
    """Name the batches of skipped steps; too many in a row end the run."""
    if not run.unseen:
        return
    flags = torch.stack([finite for finite, _, _ in run.unseen]).cpu().tolist()
    for finite, (_, step, batch) in zip(flags, run.unseen, strict=True):
        run.skipped_in_a_row = 0 if finite else run.skipped_in_a_row + 1
        if finite:
            continue
        run.progress.skipped_steps += 1
        run.log.record("skipped", step, {"batch": str(batch), "reason": "gradients not finite"})
        if run.skipped_in_a_row >= run.config.max_skipped_in_a_row:
            raise TrainingDiverged(
                f"the gradients of {run.skipped_in_a_row} steps in a row are not finite; "
                f"the last batch is {batch}; lower loop.learning_rate or look at that data"
            )
    run.unseen.clear()


def _log(run: Run) -> None:
    _look_at_steps(run)
    values = run.meter.read()
    values["learning_rate"] = run.config.learning_rate * schedule(run.progress, run.config)
    values["minutes"] = run.progress.seconds_used / 60
    run.log.record("train", run.progress.step, values)


def _validate(run: Run, validate: Callable[[], Mapping[str, float]]) -> None:
    began = time.monotonic()
    with ExitStack() as inside, torch.no_grad():
        for ema in run.state.ema.values():
            inside.enter_context(ema.applied())
        for model in run.state.models.values():
            inside.enter_context(_in_eval_mode(model))
        values = dict(validate())
    loss = values.get("loss")
    if loss is not None and (run.progress.best is None or loss < run.progress.best):
        run.progress.best = loss
    run.log.record("valid", run.progress.step, values)
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
