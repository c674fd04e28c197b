"""Checkpoints of a run: all that it needs to go on as if it had never stopped.

step-00001200/
  model.safetensors, ema.safetensors ...   weights
  optimizer.pt                             optimizer state (tensors only)
  random-0.pt                              generator states of rank 0, and of each other rank
  state.json                               progress, places in the data streams
  complete.json                            size and hash of every file; written last
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from uslm_recipes.ema import Ema
from uslm_recipes.random_states import random_states, restore_random
from uslm_tokenizer.errors import UserError

logger = logging.getLogger(__name__)
COMPLETE = "complete.json"


class DamagedCheckpoint(UserError):
    """A checkpoint folder whose files are missing or changed."""


class Resumable(Protocol):
    """A stream of batches, or anything else with a place to come back to."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass(kw_only=True)
class Progress:
    """How far a run is, over all its pieces."""

    step: int = 0
    """Optimizer steps done."""
    seconds_used: float = 0.0
    """Wall-clock time spent training."""
    audio_seconds: float = 0.0
    """Speech seen, repeats counted."""
    skipped_steps: int = 0
    """Steps whose gradients were not finite."""
    best: float | None = None
    """Best validation value so far; smaller is better."""


@dataclass(kw_only=True)
class TrainingState:
    """What a checkpoint holds. Files are named by the keys."""

    models: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    streams: dict[str, Resumable] = field(default_factory=dict)
    """Data streams by name; JSON-able positions."""
    generators: dict[str, torch.Generator] = field(default_factory=dict)
    """Generators that the recipe draws from."""
    averaged: tuple[str, ...] = ("model",)
    """Models whose averaged weights are kept too, if the config says so."""
    ema: dict[str, Ema] = field(default_factory=dict)
    """The averaged weights; `start_run` fills this."""
    progress: Progress = field(default_factory=Progress)


@dataclass(frozen=True)
class Rank:
    """This process among those that write one checkpoint together."""

    index: int = 0
    wait: Any = None
    """Called to wait for the others."""

    @property
    def is_main(self) -> bool:
        return self.index == 0

    def barrier(self) -> None:
        if self.wait is not None:
            self.wait()


def save_checkpoint(
    folder: Path,
    state: TrainingState,
    *,
    keep_last: int = 2,
    rank: Rank = Rank(),
) -> Path:
    """Write folder/step-N, whole or not at all, and remove all but the newest `keep_last`."""
    final = folder / f"step-{state.progress.step:08d}"
    temporary = folder / f".{final.name}.part"
    if rank.is_main:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
    rank.barrier()
    torch.save(random_states(state.generators), temporary / f"random-{rank.index}.pt")
    rank.barrier()
    if rank.is_main:
        _write(temporary, state)
        _seal(temporary)
        shutil.rmtree(final, ignore_errors=True)  # a damaged one of the same step
        temporary.rename(final)
        _sync(folder)
        for old in list_checkpoints(folder)[keep_last:]:
            shutil.rmtree(old, ignore_errors=True)
    rank.barrier()
    return final


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, newest first."""
    if not folder.is_dir():
        return []
    return sorted(
        (p for p in folder.iterdir() if re.fullmatch(r"step-\d{8,}", p.name)), reverse=True
    )


def load_newest(folder: Path, state: TrainingState, *, rank: Rank = Rank()) -> Path | None:
    """Bring `state` to the newest whole checkpoint; damaged ones are passed over with a warning.

    Returns its path, or None where there is none.
    """
    for path in list_checkpoints(folder):
        try:
            check_complete(path)
        except DamagedCheckpoint as problem:
            logger.warning("%s; going on with an older one", problem)
            continue
        load_checkpoint(path, state, rank=rank)
        return path
    return None


def check_complete(path: Path) -> None:
    """Raise DamagedCheckpoint unless every file is there and has the hash it was written with."""
    try:
        listed = json.loads((path / COMPLETE).read_text(encoding="utf-8"))
        for name, expected in listed.items():
            if _hash(path / name) != expected:
                raise DamagedCheckpoint(f"checkpoint {path} is damaged: {name} has changed")
    except (OSError, ValueError, AttributeError) as problem:
        if isinstance(problem, DamagedCheckpoint):
            raise
        raise DamagedCheckpoint(f"checkpoint {path} is damaged: {problem}") from problem


def load_checkpoint(path: Path, state: TrainingState, *, rank: Rank = Rank()) -> None:
    """Bring `state` to a checkpoint; UserError names the first thing that does not fit."""
    about = json.loads((path / "state.json").read_text(encoding="utf-8"))
    for name, model in state.models.items():
        _load_weights(path / f"{name}.safetensors", model)
    for name, ema in state.ema.items():
        if (path / f"ema-{name}.safetensors").is_file():
            ema.load_state_dict(load_file(path / f"ema-{name}.safetensors"))
    for name, optimizer in state.optimizers.items():
        saved = torch.load(path / f"optimizer-{name}.pt", map_location="cpu", weights_only=True)
        optimizer.load_state_dict(saved)
    for name, stream in state.streams.items():
        if name in about["streams"]:
            stream.load_state_dict(about["streams"][name])
    for key, value in about["progress"].items():
        setattr(state.progress, key, value)
    own = path / f"random-{rank.index}.pt"
    if own.is_file():
        restore_random(torch.load(own, map_location="cpu", weights_only=True), state.generators)
    else:
        logger.warning("%s has no generator states for rank %d", path, rank.index)


# ---- weights


def _write(folder: Path, state: TrainingState) -> None:
    for name, model in state.models.items():
        save_file(_own_storage(unwrap(model).state_dict()), folder / f"{name}.safetensors")
    for name, ema in state.ema.items():
        save_file(_own_storage(ema.state_dict()), folder / f"ema-{name}.safetensors")
    for name, optimizer in state.optimizers.items():
        torch.save(optimizer.state_dict(), folder / f"optimizer-{name}.pt")
    about = {
        "progress": vars(state.progress),
        "streams": {name: stream.state_dict() for name, stream in state.streams.items()},
    }
    (folder / "state.json").write_text(json.dumps(about, indent=2), encoding="utf-8")


def unwrap(model: nn.Module) -> nn.Module:
    """The recipe's own module under DistributedDataParallel and torch.compile."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, nn.parallel.DistributedDataParallel):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def _own_storage(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
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


def _load_weights(path: Path, model: nn.Module) -> None:
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as problem:
        raise UserError(f"{path} cannot be read: {problem}") from problem
    try:
        unwrap(model).load_state_dict(weights)
    except RuntimeError as problem:
        raise UserError(
            f"{path} is from another model config: {' '.join(str(problem).split())}"
        ) from problem


# ---- files


def _seal(folder: Path) -> None:
    """Bring every file to the disk, then write the list of their hashes."""
    listed = {path.name: _hash(path) for path in sorted(folder.iterdir())}
    (folder / COMPLETE).write_text(json.dumps(listed, indent=2), encoding="utf-8")
    for path in folder.iterdir():
        _sync(path)
    _sync(folder)


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
