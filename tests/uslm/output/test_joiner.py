"""Joined segments keep their sound, lose spare silence, rest where asked, and do not click."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from uslm.output.joiner import JoinConfig, Joiner

RATE = 1000


def sound(seconds: float, level: float = 0.3) -> Tensor:
    return level * torch.ones(1, round(seconds * RATE))


def silence(seconds: float) -> Tensor:
    return torch.zeros(1, round(seconds * RATE))


def join(
    segments: list[Tensor], *, pause: float = 0.0, cut: int = 10_000, **config: float
) -> Tensor:
    joiner = Joiner(JoinConfig(**config), RATE)  # type: ignore[arg-type]
    out = []
    for i, segment in enumerate(segments):
        if i:
            out.append(joiner.pause(pause))
        out += [joiner.push(part) for part in segment.split(cut, dim=1)]
        out.append(joiner.end_segment())
    out.append(joiner.finish())
    joined = torch.cat(out, dim=1)
    assert joiner.num_samples == joined.shape[1]
    return joined


@pytest.mark.parametrize("cut", [3, 20, 333])
@pytest.mark.parametrize("trim", [True, False])
@pytest.mark.parametrize("pause", [0.0, 0.3])
def test_how_a_segment_was_cut_is_not_heard(cut: int, trim: bool, pause: float) -> None:
    draw = torch.Generator().manual_seed(0)
    segments = [
        torch.cat([silence(0.2), torch.rand(1, 207, generator=draw), silence(0.31)], dim=1)
        for _ in range(3)
    ]
    whole = join(segments, pause=pause, trim_silence=trim)
    assert torch.equal(join(segments, pause=pause, trim_silence=trim, cut=cut), whole)


def test_silence_at_the_ends_and_inside_is_shortened() -> None:
    segment = torch.cat([silence(0.5), sound(0.4), silence(2.0), sound(0.4), silence(0.7)], dim=1)
    assert join([segment]).shape[1] == 60 + 400 + 800 + 400 + 60


def test_sound_is_kept_whole_but_for_the_fades() -> None:
    segment = torch.cat([silence(0.1), sound(0.4), silence(0.1)], dim=1)
    joined = join([segment, segment], pause=0.2)
    assert joined.shape[1] == 2 * (60 + 400 + 60) + 200
    assert (joined == 0.3).sum() == 800


def test_without_a_pause_segments_cross_fade_at_equal_power() -> None:
    joined = join([sound(0.4), sound(0.4)])
    assert joined.shape[1] == 400 + 400 - 20
    overlap = joined[0, 380:400]
    angles = torch.linspace(0, torch.pi / 2, 20)
    torch.testing.assert_close(overlap, 0.3 * (angles.sin() + angles.cos()))


def test_no_join_clicks() -> None:
    joined = join([sound(0.4), sound(0.4, -0.3), sound(0.4)], pause=0.1)
    steps = joined.diff(prepend=torch.zeros(1, 1), append=torch.zeros(1, 1)).abs()
    assert steps.max() < 0.05


@pytest.mark.parametrize("seconds", [0.0, 0.005, 0.015, 0.02, 0.03])
def test_a_segment_shorter_than_a_fade_takes_nothing_from_its_neighbours(seconds: float) -> None:
    joined = join([sound(0.4), sound(seconds), sound(0.4)], trim_silence=False)
    assert (joined >= 0.29).sum() >= 2 * (400 - 40)


def test_a_silent_segment_is_left_out() -> None:
    assert join([silence(1.0)]).shape[1] == 0
    assert join([sound(0.4), silence(1.0), sound(0.4)]).shape[1] == 780
