"""Paths from noise to data: how the two are mixed at each place, and the direction to learn there.

    path            place runs    mix                        direction
    RectifiedFlow   0 -> 1        (1 - t) noise + t data     data - noise
    AnglePath       pi/2 -> 0     cos(d) data + sin(d) noise cos(d) noise - sin(d) data

Rectified flow: Liu et al. 2023, Lipman et al. 2023. Angles and velocity: Salimans and Ho 2022. Each
frame has a place of its own; how a sample passes them is `uslm.generate.flow`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Path(Protocol):
    """A path from noise to data."""

    @property
    def noise_place(self) -> float:
        """The place where there is only noise."""

    @property
    def data_place(self) -> float:
        """The place where there is only data."""

    def mix(
        self, data: Float[Tensor, "*s c"], noise: Float[Tensor, "*s c"], place: Float[Tensor, "*#s"]
    ) -> Float[Tensor, "*s c"]:
        """The mixture on the way between the two."""

    def direction(
        self, data: Float[Tensor, "*s c"], noise: Float[Tensor, "*s c"], place: Float[Tensor, "*#s"]
    ) -> Float[Tensor, "*s c"]:
        """The direction that a network is to predict there."""

    def step(
        self, x: Float[Tensor, "*s c"], direction: Float[Tensor, "*s c"], place: float, to: float
    ) -> Float[Tensor, "*s c"]:
        """From one place to another along a direction."""

    def carried_back(
        self, x: Float[Tensor, "*s c"], direction: Float[Tensor, "*s c"], place: float, at: float
    ) -> Float[Tensor, "*s c"]:
        """Whoever leaves `x` at `place` in the direction that is returned arrives `at` another
        place in `direction`."""


@dataclass(frozen=True)
class RectifiedFlow:
    """Straight lines from noise to data."""

    noise_place: float = 0.0
    data_place: float = 1.0

    def mix(
        self, data: Float[Tensor, "*s c"], noise: Float[Tensor, "*s c"], place: Float[Tensor, "*#s"]
    ) -> Float[Tensor, "*s c"]:
        t = place[..., None]
        return (1 - t) * noise + t * data

    def direction(
        self, data: Float[Tensor, "*s c"], noise: Float[Tensor, "*s c"], place: Float[Tensor, "*#s"]
    ) -> Float[Tensor, "*s c"]:
        return data - noise

    def step(
        self, x: Float[Tensor, "*s c"], direction: Float[Tensor, "*s c"], place: float, to: float
    ) -> Float[Tensor, "*s c"]:
        return x + (to - place) * direction

    def carried_back(
        self, x: Float[Tensor, "*s c"], direction: Float[Tensor, "*s c"], place: float, at: float
    ) -> Float[Tensor, "*s c"]:
        return direction


@dataclass(frozen=True)
class AnglePath:
    """A quarter of a circle from noise to data: what lies on it always has the same variance."""

    noise_place: float = math.pi / 2
    data_place: float = 0.0

    def mix(
        self, data: Float[Tensor, "*s c"], noise: Float[Tensor, "*s c"], place: Float[Tensor, "*#s"]
    ) -> Float[Tensor, "*s c"]:
        d = place[..., None]
        return d.cos() * data + d.sin() * noise

    def direction(
        self, data: Float[Tensor, "*s c"], noise: Float[Tensor, "*s c"], place: Float[Tensor, "*#s"]
    ) -> Float[Tensor, "*s c"]:
        d = place[..., None]
        return d.cos() * noise - d.sin() * data

    def step(
        self, x: Float[Tensor, "*s c"], direction: Float[Tensor, "*s c"], place: float, to: float
    ) -> Float[Tensor, "*s c"]:
        turn = place - to
        return math.cos(turn) * x - math.sin(turn) * direction

    def carried_back(
        self, x: Float[Tensor, "*s c"], direction: Float[Tensor, "*s c"], place: float, at: float
    ) -> Float[Tensor, "*s c"]:
        turn = place - at  # directions turn, too: v(at) = sin(turn) x + cos(turn) v(place)
        return (direction - math.sin(turn) * x) / math.cos(turn)
