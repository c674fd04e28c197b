"""The sampler of continuous frames: schedules, exact directions, known frames, guidance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from uslm.generate.flow import (
    AnglePath,
    Path,
    RectifiedFlow,
    Solver,
    check_schedule,
    linear_angles,
    sample,
    sway,
    uniform,
)
from uslm.generate.guidance import zero_star
from uslm_tokenizer.errors import UserError

PATHS = [RectifiedFlow(), AnglePath()]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def knowing(path: Path, data: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """The exact direction for one data point: what noise led here follows from the place."""

    def direction(x: Tensor, places: Tensor) -> Tensor:
        p = places[..., None]
        if isinstance(path, RectifiedFlow):
            return (data - x) / (1 - p).clamp(min=1e-6)
        noise = (x - p.cos() * data) / p.sin().clamp(min=1e-6)
        return p.cos() * noise - p.sin() * data

    return direction


@pytest.mark.parametrize("steps", [1, 2, 5, 10])
def test_angles_add_up_to_a_quarter_turn_and_begin_large(steps: int) -> None:
    places = linear_angles(steps)
    turns = [a - b for a, b in itertools.pairwise(places)]
    assert sum(turns) == pytest.approx(math.pi / 2)
    assert turns == sorted(turns, reverse=True)
    # The formula, summed by hand for the last step from the noise: T / 6T + 2T / 3(T + 1)T.
    expected = math.pi / (6 * steps) + 2 * math.pi / (3 * (steps + 1))
    assert turns[0] == pytest.approx(expected)
    check_schedule(AnglePath(), places)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
def test_the_ends_of_the_way_are_noise_and_data(path: Path) -> None:
    data, noise = drawn(2, 3, 4), drawn(2, 3, 4, seed=1)
    at = torch.full((2, 3), path.noise_place)
    torch.testing.assert_close(path.mix(data, noise, at), noise)
    torch.testing.assert_close(path.mix(data, noise, torch.full((2, 3), path.data_place)), data)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
def test_the_direction_is_the_derivative_of_the_mix(path: Path) -> None:
    data, noise = drawn(2, 3, 4).double(), drawn(2, 3, 4, seed=1).double()
    place, small = torch.full((2, 3), 0.4, dtype=torch.double), 1e-6
    slope = (path.mix(data, noise, place + small) - path.mix(data, noise, place - small)) / (
        2 * small
    )
    torch.testing.assert_close(path.direction(data, noise, place), slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("solver", ["euler", "midpoint"])
@pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
def test_who_knows_the_way_needs_one_step(path: Path, solver: Solver) -> None:
    data = drawn(2, 5, 3)
    made = sample(
        knowing(path, data), drawn(2, 5, 3, seed=1), path, uniform(path, 1), solver=solver
    )
    torch.testing.assert_close(made, data, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
def test_half_steps_follow_a_bent_way_better(path: Path) -> None:
    """Of data that are normal with a variance of 1/4 the best direction is known, and so is where
    the way ends: at half of where it began. Twice as many half steps: a quarter of the error."""

    def direction(x: Tensor, places: Tensor) -> Tensor:
        p = places[..., None]
        # Of data z and noise e the best guess is linear in x = a z + b e.
        a, b = (p, 1 - p) if isinstance(path, RectifiedFlow) else (p.cos(), p.sin())
        variance = a.square() / 4 + b.square()
        data, noise = a / 4 / variance * x, b / variance * x
        return path.direction(data, noise, places)

    def error(solver: Solver, steps: int) -> float:
        start = torch.ones(1, 1, 1, dtype=torch.double)
        made = sample(direction, start, path, uniform(path, steps), solver=solver)
        return abs(float(made) - 0.5)

    assert error("midpoint", 16) < error("euler", 32) / 5
    assert error("midpoint", 32) < error("midpoint", 16) / 3


def test_the_place_that_is_asked_for() -> None:
    asked: list[float] = []

    def direction(x: Tensor, places: Tensor) -> Tensor:
        asked.append(float(places[0, 0]))
        return torch.zeros_like(x)

    path = RectifiedFlow()
    for solver, places in (
        ("euler", [0, 0.5]),
        ("midpoint", [0, 0.25, 0.5, 0.75]),
        ("euler_mid_place", [0.25, 0.75]),
    ):
        asked.clear()
        sample(direction, drawn(1, 2, 3), path, uniform(path, 2), solver=solver)  # type: ignore[arg-type]
        assert asked == places


@pytest.mark.parametrize("solver", ["euler", "midpoint"])
@pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
def test_known_frames_stay_and_are_said_to_be_data(path: Path, solver: Solver) -> None:
    known, is_known = drawn(2, 5, 3), torch.zeros(2, 5, dtype=torch.bool)
    is_known[0, :2], is_known[1, :4] = True, True
    seen: list[tuple[Tensor, Tensor]] = []

    def direction(x: Tensor, places: Tensor) -> Tensor:
        seen.append((x.clone(), places))
        return torch.ones_like(x)

    made = sample(
        direction, drawn(2, 5, 3, seed=1), path, uniform(path, 3),
        solver=solver, known=known, is_known=is_known,
    )  # fmt: skip
    assert torch.equal(made[is_known], known[is_known])
    assert not torch.isclose(made[~is_known], known[~is_known]).any()
    for x, places in seen:
        assert torch.equal(x[is_known], known[is_known])
        assert (places[is_known] == path.data_place).all()
        assert (places[~is_known] != path.data_place).all()


def test_sway() -> None:
    assert sway(4, 0.0) == uniform(RectifiedFlow(), 4)
    slow, fast = sway(4, -1.0), sway(4, 1.0)
    assert slow[2] == pytest.approx(0.5 - (math.cos(math.pi / 4) - 0.5))
    assert slow[2] < 0.5 < fast[2]
    for places in (slow, fast, sway(50, 2 / (math.pi - 2))):
        check_schedule(RectifiedFlow(), places)


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ((0.0, 0.5), "must end at 1.0000, but ends at 0.5000"),
        ((0.1, 1.0), "must begin at 0.0000, but begins at 0.1000"),
        ((0.0, 0.6, 0.5, 1.0), "must lead onward"),
        ((1.0,), "1 step or more"),
    ],
)
def test_a_schedule_that_does_not_lead_to_the_data(places: tuple[float, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        sample(lambda x, _: x, drawn(1, 2, 3), RectifiedFlow(), places)


def test_impossible_schedules() -> None:
    with pytest.raises(UserError, match="steps must be 1 or more, but is 0"):
        uniform(RectifiedFlow(), 0)
    with pytest.raises(UserError, match="steps must be 1 or more, but is 0"):
        linear_angles(0)
    with pytest.raises(UserError, match="sway must be from -1"):
        sway(4, -1.5)


def test_guidance_takes_away_what_both_share() -> None:
    """Of a free direction that is the given one at another size, nothing is left to be driven
    away from, whatever the scale; of one at a right angle, all of it is left alone."""
    given = torch.tensor([[[3.0, 0.0]], [[3.0, 0.0]]])
    free = torch.tensor([[[7.0, 0.0]], [[0.0, 5.0]]])
    driven = zero_star(given, free, scale=2.5)
    torch.testing.assert_close(driven, torch.tensor([[[3.0, 0.0]], [[7.5, 0.0]]]))


def test_guidance_needs_something_to_be_driven_away_from() -> None:
    given = drawn(1, 2, 3)
    assert torch.equal(zero_star(given, None, scale=1.0), given)
    with pytest.raises(UserError, match="without a null condition, but is 2"):
        zero_star(given, None, scale=2.0)
