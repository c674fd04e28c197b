"""Checkpoints of a run: all that it needs to go on as if it had never stopped.

step-00001200/
  model.safetensors, ema-model.safetensors ...   weights, whole also where FSDP spreads them
  optimizer-model.pt                             optimizer state (tensors only)
  random-0.pt                                    generator states of rank 0, and of each other rank
  state.json                                     progress, places in the data streams, the config
  complete.json                                  hash of every file; written last
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from uslm_recipes.loop.atomic_dir import (
    DamagedCheckpoint,
    check_checksums,
    commit,
    fresh_folder,
    write_checksums,
)
from uslm_recipes.loop.out_of_memory import is_out_of_memory
from uslm_recipes.loop.progress import Progress, TrainingState
from uslm_recipes.loop.random_states import random_states, restore_random
from uslm_recipes.loop.sharding import (
    is_sharded,
    load_whole_optimizer,
    part_like,
    unwrap,
    whole,
)
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.errors import EnvironmentProblem, UserError
from uslm_tokenizer.hub import current_names
from uslm_tokenizer.json_files import read_mapping

logger = logging.getLogger(__name__)
ABOUT = "state.json"
MAX_DONE = 1e15
"""Steps, or seconds, that no run reaches."""


class CheckpointNotWritten(EnvironmentProblem):
    """A full or broken disk; the former checkpoints are as they were."""


@dataclass(frozen=True)
class Rank:
    """This process among those that write one checkpoint together."""

    index: int = 0
    size: int = 1
    wait: Any = None
    """Called to wait for the others."""

    @property
    def is_main(self) -> bool:
        return self.index == 0

    def barrier(self) -> None:
        if self.wait is not None:
            self.wait()


def checkpoint_name(step: int) -> str:
    """Its folder's name."""
    return f"step-{step:08d}"


def step_of(path: Path) -> int:
    """The step that a checkpoint is of."""
    return int(path.name.removeprefix("step-"))


# ---- writing


def save_checkpoint(
    folder: Path,
    state: TrainingState,
    *,
    about: Mapping[str, Any] | None = None,
    keep_last: int = 2,
    rank: Rank = Rank(),
) -> Path:
    """Write folder/step-N, whole or not at all, and remove all but the newest `keep_last`.

    `about` is kept beside it: what a later process has to agree with. Raises CheckpointNotWritten.
    """
    final = folder / checkpoint_name(state.progress.step)
    part = folder / f".{final.name}.part"
    contents = _contents(state, rank)
    steps = _Steps()
    # All processes come to each barrier, also those for which a step has failed.
    if rank.is_main:
        steps.take(lambda: fresh_folder(part))
    rank.barrier()
    steps.take(lambda: _save(random_states(state.generators), part / f"random-{rank.index}.pt"))
    rank.barrier()
    if rank.is_main:
        steps.take(lambda: _check_ranks(part, rank.size))
        steps.take(lambda: contents.write(part, _about(state, about or {})))
        steps.take(lambda: write_checksums(part))
        steps.take(lambda: commit(part, final))
        if steps.problem is None:
            older = [path for path in list_checkpoints(folder) if step_of(path) < step_of(final)]
            for old in older[keep_last - 1 :]:
                shutil.rmtree(old, ignore_errors=True)
        else:
            shutil.rmtree(part, ignore_errors=True)
    rank.barrier()
    if steps.problem is not None:
        raise CheckpointNotWritten(_told(final, steps.problem)) from steps.problem
    return final


@dataclass
class _Contents:
    """The tensors of a checkpoint, by file."""

    weights: dict[str, dict[str, Tensor]]
    optimizers: dict[str, Any]
    scaler: dict[str, Any] | None

    def write(self, folder: Path, about: Mapping[str, Any]) -> None:
        for name, tensors in self.weights.items():
            save_file(own_storage(tensors), folder / f"{name}.safetensors")
        for name, values in self.optimizers.items():
            _save(values, folder / f"optimizer-{name}.pt")
        if self.scaler is not None:
            _save(self.scaler, folder / "scaler.pt")
        (folder / ABOUT).write_text(json.dumps(about, indent=2), encoding="utf-8")


def _contents(state: TrainingState, rank: Rank) -> _Contents:
    """Contents that the main process writes; sharded weights are put together by all."""
    weights: dict[str, dict[str, Tensor]] = {}
    optimizers: dict[str, Any] = {}
    for name, model in state.models.items():
        if not (rank.is_main or is_sharded(model)):
            continue
        weights[name] = whole(unwrap(model).state_dict())
        if name in state.ema:
            weights[f"ema-{name}"] = whole(state.ema[name].state_dict())
        if name in state.optimizers:
            optimizers[name] = whole(state.optimizers[name].state_dict())
    scaler = None if state.scaler is None else state.scaler.state_dict()
    return _Contents(weights, optimizers, scaler)


def _about(state: TrainingState, about: Mapping[str, Any]) -> dict[str, Any]:
    places = {name: stream.state_dict() for name, stream in state.streams.items()}
    return {"progress": vars(state.progress), "streams": {**places, **state.places}, **about}


class _Steps:
    """Steps that are taken one after another until something fails."""

    problem: Exception | None = None

    def take(self, action: Callable[[], object]) -> None:
        if self.problem is not None:
            return
        try:
            action()
        # PyTorch and safetensors have their own words for a write that fails.
        except (OSError, RuntimeError, SafetensorError) as problem:
            self.problem = problem


def _check_ranks(folder: Path, size: int) -> None:
    for index in range(size):
        if not (folder / f"random-{index}.pt").is_file():
            raise OSError(f"process {index} could not write its part")


def _told(path: Path, problem: Exception) -> str:
    there = next(folder for folder in path.absolute().parents if folder.is_dir())
    free = shutil.disk_usage(there).free
    reason = " ".join(str(problem).split())
    return (
        f"checkpoint {path} could not be written: {reason}; {free / 1e6:.0f} MB are free there. "
        "The checkpoints before it are kept"
    )


# ---- reading


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, newest first."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if re.fullmatch(r"step-\d{8,}", path.name))
    return sorted(found, key=step_of, reverse=True)


def newest_whole(folder: Path) -> Path | None:
    """The newest checkpoint that is not damaged; None where there is none at all.

    Damaged ones are passed over with a warning. Raises DamagedCheckpoint if there are no others,
    EnvironmentProblem if the disk cannot be read: what it holds may be whole.
    """
    every = list_checkpoints(folder)
    for path in every:
        try:
            check_checksums(path)
        except DamagedCheckpoint as problem:
            logger.warning("%s", problem)
            continue
        return path
    if every:
        raise DamagedCheckpoint(
            f"every checkpoint in {folder} is damaged, so there is nothing to go on from; none was "
            "touched. Put a whole one there, or begin anew with another --out"
        )
    return None


def clear_up(folder: Path, newest: Path | None) -> None:
    """Make room for those that come after `newest`, which a run goes on from.

    Damaged ones that are newer keep another name: as checkpoints they would be kept in place of
    whole ones. What a killed run had not finished writing goes.
    """
    if not folder.is_dir():
        return
    for path in list_checkpoints(folder):
        if newest is not None and step_of(path) > step_of(newest):
            aside = path.with_name(f"damaged-{path.name}")
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
            logger.warning("%s is kept as %s", path, aside.name)
    for path in folder.iterdir():
        if re.fullmatch(r"\.step-\d{8,}\.(part|old)", path.name):
            shutil.rmtree(path, ignore_errors=True)


def read_about(path: Path) -> dict[str, Any]:
    """A checkpoint's own record: progress, streams, and since it was made, its config."""
    about = read_mapping(path / ABOUT)
    for key in ("progress", "streams", "config", "data"):
        if not isinstance(about.get(key, {}), dict):
            raise DamagedCheckpoint(f"{path / ABOUT}: {key!r} must be a mapping")
    return about


def load_checkpoint(path: Path, state: TrainingState, *, rank: Rank = Rank()) -> None:
    """Bring `state` to a checkpoint; UserError names the first thing that does not fit."""
    try:
        _load_all(path, state, rank)
    except (UserError, OSError):
        raise
    except Exception as problem:  # it is whole, and so what another program wrote
        if is_out_of_memory(problem):
            raise
        reason = " ".join(str(problem).split())[:300]
        raise DamagedCheckpoint(f"{path} cannot be gone on from: {reason}") from problem


def _load_all(path: Path, state: TrainingState, rank: Rank) -> None:
    about = read_about(path)
    progress = from_dict(Progress, about.get("progress", {}), where="progress")
    done = (progress.step, progress.seconds_used, progress.audio_seconds, progress.skipped_steps)
    if not all(0 <= number < MAX_DONE for number in done):  # which NaN is not either
        raise DamagedCheckpoint(f"{path / ABOUT}: no run has done so much: {str(done)[:200]}")
    for name, model in state.models.items():
        _load_weights(path / f"{name}.safetensors", model)
    for name, ema in state.ema.items():
        if (path / f"ema-{name}.safetensors").is_file():
            averages = load_file(path / f"ema-{name}.safetensors")
            names = current_names(unwrap(state.models[name]), averages)
            ema.load_state_dict({today: averages[stored] for today, stored in names.items()})
    for name, optimizer in state.optimizers.items():
        load_whole_optimizer(optimizer, _load(path / f"optimizer-{name}.pt"))
    if state.scaler is not None and (path / "scaler.pt").is_file():
        state.scaler.load_state_dict(_load(path / "scaler.pt"))
    for name, stream in state.streams.items():
        if name in about.get("streams", {}):
            stream.load_state_dict(about["streams"][name])
    for key, value in vars(progress).items():
        setattr(state.progress, key, value)
    own = path / f"random-{rank.index}.pt"
    if own.is_file():
        restore_random(_load(own), state.generators)
    else:
        logger.warning("%s has no generator states for rank %d", path, rank.index)


def own_storage(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Safetensors stores no two names for one memory: tied weights are written twice."""
    seen: set[int] = set()
    result: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        plain = tensor.detach().cpu().contiguous()
        if plain.untyped_storage().data_ptr() in seen:
            plain = plain.clone()
        seen.add(plain.untyped_storage().data_ptr())
        result[name] = plain
    return result


def _save(values: Any, path: Path) -> None:
    with path.open("wb") as file:  # our own file says in plain words why it cannot be written
        torch.save(values, file)


def _load(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _load_weights(path: Path, model: nn.Module) -> None:
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as problem:
        raise UserError(f"{path} cannot be read: {problem}") from problem
    inner = unwrap(model)
    own = inner.state_dict()
    laid_out = {
        name: part_like(weights[stored], own[name]) if name in own else weights[stored]
        for name, stored in current_names(inner, weights).items()
    }
    try:
        inner.load_state_dict(laid_out)
    except RuntimeError as problem:
        raise UserError(
            f"{path} is from another model config: {' '.join(str(problem).split())}"
        ) from problem
