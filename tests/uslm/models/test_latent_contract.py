"""What every stage 2 that makes latents keeps: nothing here names one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from uslm.generate.latents import LatentSteps, fill_latents
from uslm.models.latent import LatentModel, LatentRow
from uslm.systems.registry import MODELS, model_class
from uslm_tokenizer.errors import UserError

LATENT = [name for name in MODELS if issubclass(model_class(name), LatentModel)]
CLOSE = {"atol": 1e-4, "rtol": 1e-4}


def build(name: str) -> Any:
    torch.manual_seed(0)
    found = model_class(name)
    model = found(found.tiny_config()).eval()
    for parameter in model.parameters():  # fresh weights may begin at zero
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    model.fit(0.7 * drawn(50, model.latent_dim) + 0.1)
    return model


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rows_of(model: LatentModel) -> list[LatentRow]:
    """Whole utterances of unequal length."""
    return [
        LatentRow(
            units=torch.randint(model.num_units, (n,), generator=torch.Generator().manual_seed(n)),
            latents=drawn(model.num_frames(n), model.latent_dim, seed=n),
        )
        for n in (5, 13, 8)
    ]


def directions(model: LatentModel, rows: list[LatentRow], **more: Any) -> list[Tensor]:
    batch = model.batch(rows)
    places = torch.linspace(0.1, 1.4, 97)[: batch.latents.shape[1]].expand(len(rows), -1)
    with torch.no_grad():
        found = model(batch.latents, places, batch, **more)
    return [row[mask] for row, mask in zip(found, batch.mask, strict=True)]


def test_there_is_one() -> None:
    assert "melody_diffusion" in LATENT


@pytest.mark.parametrize("name", LATENT)
def test_a_row_of_a_batch_equals_the_row_alone(name: str) -> None:
    model = build(name)
    rows = rows_of(model)
    for row, found in zip(rows, directions(model, rows), strict=True):
        torch.testing.assert_close(directions(model, [row])[0], found, **CLOSE)


@pytest.mark.parametrize("name", LATENT)
def test_units_latents_and_places_are_seen(name: str) -> None:
    model = build(name)
    row = rows_of(model)[1]
    before = directions(model, [row])[0]
    other_units = LatentRow(units=row.units.roll(1), latents=row.latents)
    other_latents = LatentRow(units=row.units, latents=row.latents.roll(1, 0))
    none = torch.zeros(1, dtype=torch.bool)
    for found in (
        directions(model, [other_units]),
        directions(model, [other_latents]),
        directions(model, [row], conditional=none),
    ):
        assert not torch.allclose(found[0], before, **CLOSE)
    unseen = directions(model, [other_units], conditional=none)[0]
    torch.testing.assert_close(unseen, directions(model, [row], conditional=none)[0], **CLOSE)
    batch = model.batch([row])
    places = torch.full(batch.latents.shape[:2], 0.5)
    with torch.no_grad():
        one = model(batch.latents, places, batch)
        places[:, 3] = 1.0  # of one frame alone
        two = model(batch.latents, places, batch)
    assert not torch.allclose(one, two, **CLOSE)


@pytest.mark.parametrize("name", LATENT)
@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_what_is_known_stays_bit_for_bit(name: str, guidance: float) -> None:
    model, how = build(name), LatentSteps(steps=3, guidance=guidance)
    whole = rows_of(model)
    counts = [2, 0, 7]
    rows = [
        LatentRow(units=row.units, latents=row.latents[:n])
        for row, n in zip(whole, counts, strict=True)
    ]
    draws = [torch.Generator().manual_seed(i) for i in range(3)]
    made = fill_latents(model, rows, how, generators=draws)
    for row, found, n in zip(whole, made, counts, strict=True):
        assert len(found) == len(row.latents)
        assert torch.equal(found[:n], row.latents[:n])
        assert not torch.isclose(found[n:], row.latents[n:]).all()
    alone = fill_latents(model, rows[2:], how, generators=[torch.Generator().manual_seed(2)])[0]
    torch.testing.assert_close(made[2], alone, atol=1e-3, rtol=1e-3)
    # What goes on depends on what is known.
    rows[2].latents = rows[2].latents + 1
    other = fill_latents(model, rows[2:], how, generators=[torch.Generator().manual_seed(2)])[0]
    assert not torch.allclose(other[7:], alone[7:], atol=1e-3)


@pytest.mark.parametrize("name", LATENT)
def test_a_step_is_one_call_of_the_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = build(name), []
    real = model.forward
    monkeypatch.setattr(model, "forward", lambda *a, **k: (calls.append(1), real(*a, **k))[1])
    row = rows_of(model)[0]
    row.latents = row.latents[:0]
    for steps, solver, wanted in ((10, "euler", 10), (1, "euler", 1), (4, "midpoint", 8)):
        calls.clear()
        how = LatentSteps(steps=steps, solver=solver)
        fill_latents(model, [row], how, generators=[torch.Generator()])
        assert len(calls) == wanted


@pytest.mark.parametrize("name", LATENT)
def test_three_utterances_are_learnt_by_heart(name: str) -> None:
    model = build(name).train()
    batch = model.batch(rows_of(model))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    draw, found = torch.Generator().manual_seed(0), []
    for _ in range(120):
        optimizer.zero_grad()
        loss = model.loss(batch, draw)
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    assert sum(found[-10:]) < 0.7 * sum(found[:10])


@pytest.mark.parametrize("name", LATENT)
def test_what_does_not_fit_is_named(name: str) -> None:
    model = build(name)
    row, how, draws = rows_of(model)[0], LatentSteps(steps=2), [torch.Generator()]
    dim, size = model.latent_dim, model.num_units
    wrong = LatentRow(units=row.units, latents=row.latents[:2, :-1])
    with pytest.raises(UserError, match=rf"latents must be \[t, {dim}\], those of the codec"):
        fill_latents(model, [wrong], how, generators=draws)
    wrong = LatentRow(units=row.units + size, latents=row.latents[:2])
    with pytest.raises(UserError, match=rf"units must lie in \[0, {size}\)"):
        fill_latents(model, [wrong], how, generators=draws)
    with pytest.raises(UserError, match="nothing is left to be made"):
        fill_latents(model, [row], how, generators=draws)
    row.latents = row.latents[:2]
    ends = (model.path.noise_place, (model.path.noise_place + model.path.data_place) / 2)
    with pytest.raises(UserError, match=r"a schedule of .* must end at"):
        fill_latents(model, [row], how, generators=draws, places=ends)
    with pytest.raises(UserError, match="steps must be 1 or more, but is 0"):
        LatentSteps(steps=0)
