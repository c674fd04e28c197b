"""The sampler of models of continuous frames: from noise to data along a learnt direction.

A path (`uslm.models.flow_paths`) says how noise and data are mixed at each place, and which
direction a network learns there; a *schedule* is the places that a sample passes, as plain numbers.
With a place for each frame, as in MeLoDy (Lam et al. 2023), frames that are known lie at the end of
the way from the beginning, and stay what they are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from uslm.models.flow_paths import AnglePath as AnglePath
from uslm.models.flow_paths import Path as Path
from uslm.models.flow_paths import RectifiedFlow as RectifiedFlow
from uslm_tokenizer.errors import UserError

Solver = Literal["euler", "midpoint", "euler_mid_place"]
"""`euler` asks for one direction per step, at its beginning; `midpoint` for another one half way,
which it follows for the whole step; `euler_mid_place` for one that the network gives for the middle
place though the sample is still at the beginning, as Vevo's published code does."""
Direction = Callable[[Tensor, Tensor], Tensor]
"""Frames [b t c] and the place of each of them [b t] -> the direction at each [b t c]."""


# ---- schedules


def uniform(path: Path, steps: int) -> tuple[float, ...]:
    """Places at equal distances, from noise to data."""
    _check_steps(steps)
    length = path.data_place - path.noise_place
    inner = [path.noise_place + length * step / steps for step in range(steps)]
    return (*inner, path.data_place)


def sway(steps: int, coefficient: float) -> tuple[float, ...]:
    """Of a rectified flow: places moved by coefficient * (cos(t pi / 2) - 1 + t); -1 dwells on the
    noise, 1 moves on sooner, 0 is uniform. F5-TTS (Chen et al. 2024, section 3.3). VoxCPM counts
    from the data, so its 1 dwells on the noise: see `mirrored`."""
    if not -1 <= coefficient <= 2 / (math.pi - 2):
        most = 2 / (math.pi - 2)
        raise UserError(f"the sway must be from -1 to {most:.2f}, but is {coefficient}")
    places = uniform(RectifiedFlow(), steps)
    inner = [t + coefficient * (math.cos(math.pi / 2 * t) - 1 + t) for t in places[1:-1]]
    return (0.0, *inner, 1.0)


def mirrored(path: Path, places: Sequence[float]) -> tuple[float, ...]:
    """The same distances in the other order: a schedule that was counted from the data."""
    ends = path.noise_place + path.data_place
    inner = [ends - place for place in reversed(places)][1:-1]
    return (path.noise_place, *inner, path.data_place)


def linear_angles(steps: int) -> tuple[float, ...]:
    """Of an angle path: step s of T, counted from the data, turns by pi / (6 T) +
    2 pi s / (3 T (T + 1)), so that the first steps from the noise are the largest (MeLoDy)."""
    _check_steps(steps)
    turns = [
        math.pi / (6 * steps) + 2 * math.pi * s / (3 * steps * (steps + 1))
        for s in range(steps, 0, -1)
    ]
    inner = [math.pi / 2 - sum(turns[:done]) for done in range(1, steps)]
    return (math.pi / 2, *inner, 0.0)


def check_schedule(path: Path, places: Sequence[float]) -> None:
    """Raise UserError unless the places lead from the noise to the data, always onward."""
    if len(places) < 2:
        raise UserError(f"a schedule must have 1 step or more, but has places {tuple(places)}")
    for name, place, end in (
        ("begin", places[0], path.noise_place),
        ("end", places[-1], path.data_place),
    ):
        if not math.isclose(place, end, abs_tol=1e-6):
            raise UserError(
                f"a schedule of {type(path).__name__} must {name} at {end:.4f}, but {name}s at "
                f"{place:.4f}"
            )
    sign = math.copysign(1, path.data_place - path.noise_place)
    if any(sign * (b - a) <= 0 for a, b in itertools.pairwise(places)):
        raise UserError(f"the places of a schedule must lead onward, but are {tuple(places)}")


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise UserError(f"steps must be 1 or more, but is {steps}")


# ---- the sampler


@torch.no_grad()
def sample(
    direction: Direction,
    noise: Float[Tensor, "b t c"],
    path: Path,
    schedule: Sequence[float],
    *,
    solver: Solver = "euler",
    known: Float[Tensor, "b t c"] | None = None,
    is_known: Bool[Tensor, "b t"] | None = None,
) -> Float[Tensor, "b t c"]:
    """The data that noise becomes; one call of `direction` per step, two with `midpoint`.

    Frames that `is_known` are those of `known` bit for bit, from the first step on, and their place
    is that of data: so speech goes on after a prefix. UserError if the schedule does not lead from
    noise to data.
    """
    check_schedule(path, schedule)
    if (known is None) != (is_known is None):
        raise UserError("known frames and where they are must be given together")
    x = noise if known is None or is_known is None else _kept(noise, known, is_known)
    for place, to in itertools.pairwise(schedule):
        middle = (place + to) / 2
        asked = middle if solver == "euler_mid_place" else place
        way = direction(x, _places(x, asked, path, is_known))
        if solver == "midpoint":
            half = path.step(x, way, place, middle)
            if known is not None and is_known is not None:
                half = _kept(half, known, is_known)
            way = direction(half, _places(x, middle, path, is_known))
            way = path.carried_back(x, way, place, middle)
        x = path.step(x, way, place, to)
        if known is not None and is_known is not None:
            x = _kept(x, known, is_known)
    return x


def _kept(
    x: Float[Tensor, "b t c"], known: Float[Tensor, "b t c"], is_known: Bool[Tensor, "b t"]
) -> Float[Tensor, "b t c"]:
    return torch.where(is_known[..., None], known.to(x), x)


def _places(
    x: Float[Tensor, "b t c"], place: float, path: Path, is_known: Bool[Tensor, "b t"] | None
) -> Float[Tensor, "b t"]:
    places = torch.full(x.shape[:2], place, device=x.device, dtype=torch.float32)
    return places if is_known is None else places.masked_fill(is_known, path.data_place)
