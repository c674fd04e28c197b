"""What two processes do together; `python two_processes.py TRAINED OUT` is one of them.

`gradients` gives those of a recipe's first step: alone with one batch after another, alone with
the batches joined, or as one of two processes that have a batch each.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import interrupted_run
import numpy as np
import torch
from torch import Tensor

from uslm_recipes.config import load_config
from uslm_recipes.data.batches import Crops, CropSampler, SecondsBatches, World
from uslm_recipes.loop import step
from uslm_recipes.train import ar as train_ar
from uslm_recipes.train import joint
from uslm_recipes.train import nar as train_nar
from uslm_recipes.train import unit_codec as train_codec
from uslm_recipes.train import units as train_units

RECIPES: dict[str, tuple[Any, Any]] = {
    "units": (train_units, train_units.UnitsRecipe),
    "codec": (train_codec, train_codec.CodecRecipe),
    "ar": (train_ar, train_ar.ARRecipe),
    "nar": (train_nar, train_nar.NARRecipe),
    "joint": (joint, joint.JointRecipe),
}


class Stepped(Exception):
    """The gradients of the first step are there."""


def recipe_of(stage: str, trained: Path, accumulation: int) -> Any:
    """The stage at `tiny` size, without what is drawn anew in each process."""
    _, kind = RECIPES[stage]
    codec, tokens = trained / "codec" / "model", f"tokens=[{trained / 'tokens' / '0'}]"
    own = {
        "units": [
            f"teacher={trained / 'made_up' / 'whisper'}",
            "teacher_layers=[1,2]",
            "model.teacher_dim=16",
            "continuous_share=0.0",
            "seconds_per_batch=4",
        ],
        "codec": [f"units={trained / 'units' / 'model'}", "model.level_dropout=0.0"],
        "ar": [
            tokens,
            f"recognizer={codec}",
            "model.dropout=0.0",
            "model.pitch_reach=0",
            "prompted_share=1.0",
            "seconds_per_batch=4",
        ],
        "nar": [tokens, f"tokenizer={codec}", "seconds_per_batch=4"],
        "joint": [
            tokens,
            f"tokenizer={codec}",
            f"acoustic={trained / 'nar' / 'model'}",
            "max_crops=16",
            "seconds_per_batch=4",
        ],
    }[stage]
    more = [f"corpus=[{trained / 'corpus'}]", f"loop.gradient_accumulation={accumulation}"]
    name = f"train_{stage}"
    size = "unit_codec_tiny" if stage == "nar" else "tiny"
    return load_config(kind, size, [*own, *more, "loop.max_grad_norm=1e9"], recipe=name)


def gradients(stage: str, trained: Path, out: Path, *, accumulation: int = 1) -> list[Tensor]:
    """Of the first step of a stage; every parameter that has one."""
    found: list[Tensor] = []

    def stop(finite: Tensor, optimizer: torch.optim.Optimizer) -> None:
        every = (p.grad for group in optimizer.param_groups for p in group["params"])
        found.extend(grad.clone() for grad in every if grad is not None)
        raise Stepped

    module, _ = RECIPES[stage]
    with patch.object(step, "step_if", stop), suppress(Stepped):
        module.train(recipe_of(stage, trained, accumulation), out)
    return found


class Joined:
    """The batches of two processes as one."""

    def __init__(self, kind: type, *arguments: Any, world: World, **more: Any) -> None:
        self.parts = [kind(*arguments, world=World(rank, 2), **more) for rank in range(2)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.parts[0], name)

    def __next__(self) -> Any:
        first, second = map(next, self.parts)
        if isinstance(first, Crops):
            return Crops(
                indices=np.concatenate([first.indices, second.indices]),
                starts=np.concatenate([first.starts, second.starts]),
            )
        return np.concatenate([first, second])


@contextmanager
def joined_batches(stage: str) -> Iterator[None]:
    """Within, one process takes the batches of two."""
    module, _ = RECIPES[stage]
    kind: Any = CropSampler if stage == "codec" else SecondsBatches

    def build(*arguments: Any, **more: Any) -> Any:
        return Joined(kind, *arguments, **more) if "world" in more else kind(*arguments, **more)

    with patch.object(module, kind.__name__, build):
        yield


def main(trained: Path, out: Path) -> None:
    """Train the toy, then take a step of each recipe, then train the toy in shards."""
    interrupted_run.train(out / "toy")
    rank = torch.distributed.get_rank()
    for stage in RECIPES:
        torch.save(gradients(stage, trained, out / stage), out / f"{stage}-{rank}.pt")
    for steps in (10, 40):  # in two segments
        interrupted_run.train(out / "sharded", resume=True, sharded=True, steps=steps)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
