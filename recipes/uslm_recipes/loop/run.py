"""A run from its beginning to its end: limits, batches, stopping, and what it says of itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch

from uslm_recipes.folder_lock import FolderLock
from uslm_recipes.loop.bar import Bar
from uslm_recipes.loop.checkpoint import (
    Rank,
    clear_up,
    list_checkpoints,
    load_checkpoint,
    newest_whole,
    read_about,
)
from uslm_recipes.loop.config import LoopConfig, fraction_done
from uslm_recipes.loop.flops import FlopMeter, peak_flops
from uslm_recipes.loop.launch import make_accelerator, precision_of, prepare
from uslm_recipes.loop.log import RunLog
from uslm_recipes.loop.meter import Meter
from uslm_recipes.loop.non_finite_guard import NonFiniteGuard
from uslm_recipes.loop.out_of_memory import is_out_of_memory, too_little_memory
from uslm_recipes.loop.progress import Progress, TrainingState
from uslm_recipes.loop.reader import BatchReader, TrainBatch
from uslm_recipes.loop.same_config import check_same
from uslm_recipes.loop.sharding import is_sharded
from uslm_recipes.loop.stopping import StopSignal
from uslm_recipes.loop.trackers import PROJECT, flat
from uslm_recipes.loop.training_data import TrainingData
from uslm_tokenizer.config import to_dict
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.machine import Machine

if TYPE_CHECKING:
    from accelerate import Accelerator

CHECKPOINTS = "checkpoints"
LOCK_FILE = ".lock"
Batch = TypeVar("Batch")


class Recipe(Protocol):
    """The config of any recipe."""

    @property
    def loop(self) -> LoopConfig: ...


@dataclass(kw_only=True)
class Run:
    """State of a recipe while it trains. As a context it gives the signals back at its end."""

    recipe: Recipe
    out: Path
    accelerator: Accelerator
    state: TrainingState
    log: RunLog
    rank: Rank
    data: TrainingData
    batch_key: str
    """Key of the recipe that says how large a batch is."""
    guard: NonFiniteGuard
    meter: Meter
    bar: Bar
    flops: FlopMeter = field(default_factory=FlopMeter)
    stop: StopSignal = field(default_factory=StopSignal)
    process_began: float = field(default_factory=time.monotonic)
    last_tick: float = field(default_factory=time.monotonic)
    saved: Path | None = None
    """The last checkpoint that was written or read."""
    saved_at: float = 0.0
    """`progress.seconds_used` when one was last written, or could not be."""
    held: ExitStack = field(default_factory=ExitStack)
    """What is given back at the end: the folder."""

    @property
    def config(self) -> LoopConfig:
        return self.recipe.loop

    @property
    def progress(self) -> Progress:
        return self.state.progress

    @property
    def checkpoints(self) -> Path:
        """Folder that they lie in."""
        return self.out / CHECKPOINTS

    @property
    def is_sharded(self) -> bool:
        """Whether FSDP spreads the weights: then a model works only through its `forward`."""
        return any(is_sharded(model) for model in self.state.models.values())

    def about(self) -> dict[str, Any]:
        """Config and data that a later process must agree with."""
        return {"config": to_dict(self.recipe), "data": dict(self.data.marks)}

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flops.abandon()
        self.bar.close()
        self.stop.release()
        self.held.close()
        if is_out_of_memory(error):
            kept = list_checkpoints(self.checkpoints)[:1]
            raise too_little_memory(
                self.recipe, self.batch_key, self.progress.step, kept
            ) from error


def start_run(
    recipe: Recipe,
    out: Path,
    state: TrainingState,
    *,
    accelerator: Accelerator | None = None,
    data: TrainingData | None = None,
    batch_key: str = "seconds_per_batch",
    resume: bool = False,
) -> Run:
    """Prepare models and optimizers for the device, and come back to the newest checkpoint.

    `state.models` and `state.optimizers` are replaced by their prepared forms: use those.
    Without `resume` the folder must hold no run yet.
    """
    config, data = recipe.loop, data or TrainingData()
    if config.steps is None and config.max_minutes is None:
        raise ConfigError("nothing says how long to train: give loop.steps or loop.max_minutes")
    accelerator = accelerator or make_accelerator(config, out)
    rank = Rank(accelerator.process_index, accelerator.num_processes, accelerator.wait_for_everyone)
    with ExitStack() as stack:
        stack.enter_context(_alone_in(out, rank))
        if not resume and list_checkpoints(out / CHECKPOINTS):
            raise UserError(f"{out} holds a run already; give --resume, or another --out")
        prepare(state, config, accelerator)
        found = newest_whole(out / CHECKPOINTS) if resume else None
        if found is not None:
            if not config.accept_changes:
                check_same(found, read_about(found), to_dict(recipe), data.marks)
            load_checkpoint(found, state, rank=rank)
        rank.barrier()
        if rank.is_main:
            clear_up(out / CHECKPOINTS, found)
        run = _begin(recipe, out, accelerator, state, rank, data, batch_key, found)
        run.held = stack.pop_all()
    run.stop.listen()
    return run


@contextmanager
def _alone_in(out: Path, rank: Rank) -> Iterator[None]:
    """No other run writes into the folder meanwhile. Raises UserError if one does."""
    if not rank.is_main:
        yield
        return
    out.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(out / LOCK_FILE, f"another run is training in {out}; give another --out")
    lock.take()
    try:
        yield
    finally:
        lock.release()


def _begin(
    recipe: Recipe,
    out: Path,
    accelerator: Accelerator,
    state: TrainingState,
    rank: Rank,
    data: TrainingData,
    batch_key: str,
    found: Path | None,
) -> Run:
    """The run, with its record opened."""
    config = recipe.loop
    if accelerator.log_with:
        accelerator.init_trackers(PROJECT, config=flat(to_dict(recipe)))
    log = RunLog(out, accelerator if accelerator.log_with else None, is_main=rank.is_main)
    log.begin(state.progress.step, resumed_from=found)
    peak = peak_flops(accelerator.device, precision_of(config, accelerator.device))
    log.record("machine", state.progress.step, _machine(accelerator, config, peak))
    return Run(
        recipe=recipe,
        out=out,
        accelerator=accelerator,
        state=state,
        log=log,
        rank=rank,
        data=data,
        batch_key=batch_key,
        guard=NonFiniteGuard(config.max_skipped_in_a_row),
        meter=Meter(peak, accelerator.num_processes),
        bar=Bar(config, state.progress, shown=None if rank.is_main else False),
        saved=found,
        saved_at=state.progress.seconds_used,
    )


def each_batch(run: Run, draw: Callable[[], TrainBatch[Batch]]) -> Iterator[TrainBatch[Batch]]:
    """Batches that `draw` makes, until the run is over; measures the waiting.

    `draw` takes from the run's streams. With `loop.read_ahead` a thread calls it.
    """
    reader = BatchReader(run.state, draw, run.config.read_ahead)
    try:
        while keep_going(run):
            began = time.monotonic()
            step = [next(reader) for _ in range(run.config.gradient_accumulation)]
            run.meter.waited += time.monotonic() - began
            for train_batch in _weighed(run, step):
                run.flops.begin()
                yield train_batch
    finally:
        reader.close()


def keep_going(run: Run) -> bool:
    """Whether to take another batch; counts the time. All processes get the same answer."""
    if not run.accelerator.sync_gradients:  # a step is half done
        return True
    now = time.monotonic()
    run.progress.seconds_used += now - run.last_tick
    run.last_tick = now
    process_seconds, stop = now - run.process_began, run.stop.requested
    if run.accelerator.num_processes > 1:
        process_seconds, stop = _agree(run, process_seconds, stop)
    if stop or fraction_done(run.progress, run.config) >= 1:
        return False
    return (
        run.config.stop_after_minutes is None
        or process_seconds < 60 * run.config.stop_after_minutes
    )


def _weighed(run: Run, step: list[TrainBatch[Batch]]) -> Iterator[TrainBatch[Batch]]:
    """The batches of a step with their weights; several processes add up what they hold."""
    names = sorted(step[0].counts)
    processes = run.accelerator.num_processes
    if processes * len(step) == 1:
        yield replace(step[0], weights=dict.fromkeys(names, 1.0))
        return
    own = torch.tensor([[train_batch.counts[name] for name in names] for train_batch in step])
    own = own.float().to(run.accelerator.device)
    every = run.accelerator.reduce(own.sum(dim=0), reduction="sum") if processes > 1 else own.sum(0)
    weights = own * (processes * len(step)) / every.clamp(min=1)
    for train_batch, row in zip(step, weights, strict=True):
        yield replace(train_batch, weights=dict(zip(names, row, strict=True)))


def _agree(run: Run, process_seconds: float, stop: bool) -> tuple[float, bool]:
    """One clock, that of the first process, and a stop for all when one of them is told to."""
    own = torch.tensor(
        [[run.progress.seconds_used, process_seconds, float(stop)]], device=run.accelerator.device
    )
    every = run.accelerator.gather(own).double().cpu()
    run.progress.seconds_used = float(every[0, 0])
    return float(every[0, 1]), bool(every[:, 2].any())


def _machine(accelerator: Accelerator, config: LoopConfig, peak: float) -> Mapping[str, Any]:
    """Facts of the machine for the run's log."""
    return {
        **asdict(Machine.here(accelerator.device)),
        "processes": accelerator.num_processes,
        "precision": str(precision_of(config, accelerator.device)).removeprefix("torch."),
        "peak_tflops": peak / 1e12,
    }
