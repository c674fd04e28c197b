"""MeLoDy's diffusion: segments, chunks at angles of their own, the loss, guidance."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from uslm.generate.autoregressive import StopRule, speak_units
from uslm.generate.flow import AnglePath, RectifiedFlow
from uslm.generate.latents import LatentSteps, fill_latents
from uslm.generate.sampling import Sampling
from uslm.models.latent import LatentBatch, LatentRow
from uslm.systems.melody.dual_path import from_segments, to_segments
from uslm.systems.melody.model import DualPath, DualPathConfig
from uslm.systems.melody.pipeline import Melody
from uslm.systems.melody.tiny import tiny_parts
from uslm.systems.model_parts import Parts
from uslm.systems.valle.ar import ValleAR
from uslm_tokenizer.errors import ConfigError, UserError


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def build(**changes: object) -> DualPath:
    torch.manual_seed(0)
    return DualPath(replace(DualPath.tiny_config(), **changes)).eval()  # type: ignore[arg-type]


def row(units: int = 20, seed: int = 0) -> LatentRow:
    ids = torch.randint(32, (units,), generator=torch.Generator().manual_seed(seed))
    return LatentRow(units=ids, latents=drawn(2 * units, 6, seed=seed))


@pytest.mark.parametrize("length", [1, 4, 7, 16, 33])
def test_segments_joined_are_the_row(length: int) -> None:
    x = drawn(2, length, 3)
    segments = to_segments(x, 8)
    assert segments.shape[2] == 8
    assert torch.equal(from_segments(segments, length), x)
    counted = to_segments(torch.ones(1, length, 1), 8)
    assert float(counted.sum()) == 2 * length  # each frame lies in two


def test_the_coarse_path_sees_the_whole_row_and_the_fine_path_its_segment() -> None:
    model = build(num_layers=1)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    batch = model.batch([row(40)])
    places = torch.full((1, 80), 0.7)
    other = batch.latents.clone()
    other[0, 40] += 3

    def changed() -> Tensor:
        with torch.no_grad():
            difference = model(other, places, batch) - model(batch.latents, places, batch)
        return difference[0].abs().amax(-1) > 1e-6

    everywhere = changed()
    assert bool(everywhere[0]) and bool(everywhere[79])
    for parameter in model.blocks[0].coarse.parameters():
        torch.nn.init.zeros_(parameter)
    near = changed().nonzero().flatten().tolist()
    assert min(near) >= 32 and max(near) < 48 and len(near) > 2  # the two segments of frame 40


def test_who_knows_the_velocity_has_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(drop_rate=0.0)
    model.fit(drawn(50, 6) * 3 + 1)
    batch = model.batch([row(20), row(31, seed=1)])
    data = model.standardised(batch.latents)
    seen: list[Tensor] = []

    def knows(
        x: Tensor, places: Tensor, _: LatentBatch, *, conditional: Tensor | None = None
    ) -> Tensor:
        seen.append(places)
        d = places[..., None]
        noise = (x - d.cos() * data) / d.sin().clamp(min=1e-6)
        return d.cos() * noise - d.sin() * data

    monkeypatch.setattr(model, "forward", knows)
    for seed in range(8):
        assert float(model.loss(batch, torch.Generator().manual_seed(seed)).detach()) < 1e-4
    for places in seen:  # chunks of equal parts of each row's own length
        for angles, mask in zip(places, batch.mask, strict=True):
            runs = angles[mask].unique_consecutive(return_counts=True)[1]
            assert len(runs) == 4 and int(runs.max() - runs.min()) <= 1
        assert float(places.min()) >= 0 and float(places.max()) <= math.pi / 2
    with_prefix = torch.stack([places[:, 0] == 0 for places in seen]).float().mean()
    assert 0 < float(with_prefix) < 0.7


def test_what_is_known_is_at_angle_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    model, whole, asked = build(), row(), []
    monkeypatch.setattr(
        model, "forward", lambda x, places, *_, **__: (asked.append(places[0]), 0 * x)[1]
    )
    known = LatentRow(units=whole.units, latents=whole.latents[:11])
    fill_latents(model, [known], LatentSteps(steps=2, guidance=1.0), generators=[torch.Generator()])
    for places in asked:
        assert bool((places[:11] == 0).all()) and bool((places[11:] > 0).all())


def test_latents_have_the_scale_of_the_data() -> None:
    model, latents = build(), 5 * drawn(400, 6) - 2
    model.fit(latents)
    standard = model.standardised(latents)
    torch.testing.assert_close(standard.std(0), torch.ones(6))
    torch.testing.assert_close(standard.mean(0), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(model.restored(standard), latents)


def test_what_does_not_fit_is_named() -> None:
    alone, known = build(drop_rate=0.0), row()
    known.latents = known.latents[:3]
    with pytest.raises(UserError, match="guidance scale must be 1 for a model without a null"):
        fill_latents(alone, [known], LatentSteps(steps=2), generators=[torch.Generator()])
    LatentSteps(steps=2).places(AnglePath())
    with pytest.raises(UserError, match='schedule must be "uniform" on a RectifiedFlow'):
        LatentSteps(steps=2).places(RectifiedFlow())
    with pytest.raises(ConfigError, match="segment_size must be an even number"):
        DualPathConfig(segment_size=7)
    parts = tiny_parts()
    parts["diffusion"] = build(num_units=32)
    with pytest.raises(ConfigError, match="diffusion was made for 32 units, but the others have"):
        Melody(Parts(parts))
    parts = tiny_parts()
    found = parts["diffusion"].config
    parts["diffusion"] = DualPath(replace(found, frames_per_unit=found.frames_per_unit * 2))
    with pytest.raises(ConfigError, match="frames of each unit, but there are"):
        Melody(Parts(parts))


def test_ten_calls_a_clip_where_a_model_of_codes_takes_one_for_each_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The default settings, for a short clip and a long one, against stage 1 of VALL-E."""
    model, lm = build(), ValleAR(ValleAR.tiny_config()).eval()
    calls, steps = [], []
    real, one = model.forward, lm.step
    monkeypatch.setattr(model, "forward", lambda *a, **k: (calls.append(1), real(*a, **k))[1])
    monkeypatch.setattr(lm, "step", lambda *a, **k: (steps.append(1), one(*a, **k))[1])
    for units in (15, 60):
        calls.clear()
        steps.clear()
        asked = row(units)
        asked.latents = asked.latents[:0]
        [made] = fill_latents(model, [asked], LatentSteps(), generators=[torch.Generator()])
        rows = speak_units(
            lm, [torch.arange(3)], [torch.zeros(0, dtype=torch.long)],
            [StopRule(min_frames=len(made), max_frames=len(made))],
            sampling=Sampling(), generators=[torch.Generator().manual_seed(0)],
        )  # fmt: skip
        [said] = list(rows)[-1]
        assert len(made) == len(said.units) == 2 * units
        assert len(calls) == 10 and len(steps) == 2 * units - 1  # the first comes with the text
