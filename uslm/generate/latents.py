"""A latent stage 2 at work: noise becomes latents of units, after those that are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from uslm.generate.flow import (
    AnglePath,
    Path,
    Solver,
    linear_angles,
    sample,
    uniform,
)
from uslm.generate.guidance import classifier_free
from uslm.models.latent import LatentBatch, LatentModel, LatentRow
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.nn.padding import pad_right

Schedule = Literal["linear", "uniform"]
"""Of angles: large steps first, as MeLoDy's; or steps of one length, of any path."""


@dataclass(frozen=True, kw_only=True)
class LatentSteps:
    """Settings of the way from noise to latents; the defaults are those of MeLoDy."""

    steps: int = 10
    """Steps; each asks the network once."""
    schedule: Schedule = "linear"
    """Distances of the steps."""
    guidance: float = 2.5
    """How far the direction is driven from that without units; 1: not at all."""
    solver: Solver = "euler"
    """Euler, or with half steps."""
    temperature: float = 1.0
    """Deviation of the noise."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"steps must be 1 or more, but is {self.steps}")

    def places(self, path: Path) -> tuple[float, ...]:
        """The schedule, of a path; UserError for angles on a path of none."""
        if self.schedule == "uniform":
            return uniform(path, self.steps)
        if not isinstance(path, AnglePath):
            raise UserError(
                f'schedule must be "uniform" on a {type(path).__name__}, but is "linear", which '
                "is of angles"
            )
        return linear_angles(self.steps)


@torch.no_grad()
def fill_latents(
    model: LatentModel,
    rows: Sequence[LatentRow],
    how: LatentSteps,
    *,
    generators: Sequence[torch.Generator],
    places: Sequence[float] | None = None,
) -> list[Float[Tensor, "_ c"]]:
    """Latents of each whole row, its known ones first and as they were, bit for bit.

    Row i draws from generator i, and does not depend on the rows beside it but for rounding.
    `places` is a schedule in place of that of `how`; UserError unless it ends at the data.
    """
    for row in rows:
        model.check(row)
        if len(row.latents) >= model.num_frames(len(row.units)):
            raise UserError(
                f"a row of {len(row.units)} units has {model.num_frames(len(row.units))} frames, "
                f"of which {len(row.latents)} are known: nothing is left to be made"
            )
    device, lengths = model.device, [model.num_frames(len(row.units)) for row in rows]
    noise = [
        how.temperature * torch.randn(n, model.latent_dim, generator=g, device=g.device)
        for n, g in zip(lengths, generators, strict=True)
    ]
    start, mask = pad_right([each.to(device) for each in noise])
    known, is_known = torch.zeros_like(start), torch.zeros_like(mask)
    for i, row in enumerate(rows):
        count = len(row.latents)
        known[i, :count] = model.standardised(row.latents.to(device, start.dtype))
        is_known[i, :count] = True
    units, unit_mask = pad_right([row.units.to(device).long() for row in rows])
    guided = how.guidance != 1 and model.can_be_guided
    # With and without units side by side: each step asks the network once.
    sides = 2 if guided else 1
    batch = LatentBatch(*(part.repeat(sides, *[1] * (part.ndim - 1)) for part in
                          (units, unit_mask, start, mask)))  # fmt: skip
    conditional = torch.arange(sides * len(rows), device=device) < len(rows)

    def direction(x: Float[Tensor, "b t c"], at: Float[Tensor, "b t"]) -> Float[Tensor, "b t c"]:
        found = model(x.repeat(sides, 1, 1), at.repeat(sides, 1), batch, conditional=conditional)
        given, free = found.split(len(x)) if guided else (found, None)
        return classifier_free(given, free, scale=how.guidance)

    schedule = how.places(model.path) if places is None else places
    made = sample(
        direction, start, model.path, schedule, solver=how.solver, known=known, is_known=is_known
    )
    restored = model.restored(made).float().cpu()
    # Not through the scale and back: what is known stays what it is.
    return [
        torch.cat([row.latents.float().cpu(), restored[i, len(row.latents) : n]])
        for i, (row, n) in enumerate(zip(rows, lengths, strict=True))
    ]
