"""Filling the acoustic codebooks: what is given stays, and rows do not see each other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from uslm.generate.codebooks import fill_codebooks
from uslm.models.base import AcousticModel, AcousticRow
from uslm.systems.registry import MODELS, model_class
from uslm.systems.two_stage.nar import AcousticLM

ACOUSTIC = [name for name in MODELS if issubclass(model_class(name), AcousticModel)]


@pytest.fixture(params=ACOUSTIC)
def model(request: pytest.FixtureRequest) -> Any:
    found = model_class(request.param)
    return found(found.tiny_config()).eval()


def codes(model: AcousticModel, count: int, seed: int) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randint(32, (model.num_codebooks, count), generator=source)


def rows_of(model: AcousticModel) -> list[AcousticRow]:
    return [
        AcousticRow(prompt=codes(model, 5, 1), codes=codes(model, 8, 2), text_ids=torch.arange(4)),
        AcousticRow(prompt=codes(model, 0, 3), codes=codes(model, 12, 4), num_context=5, start=20),
        AcousticRow(prompt=codes(model, 9, 5), codes=codes(model, 3, 6)),
    ]


def fill(model: AcousticModel, rows: list[AcousticRow], temperature: float) -> list[Tensor]:
    """Filled with a source of random numbers that belongs to the row."""
    sources = [torch.Generator().manual_seed(row.codes.shape[1]) for row in rows]
    return fill_codebooks(model, rows, temperature=temperature, generators=sources)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_row_is_the_same_alone_and_among_others(model: Any, temperature: float) -> None:
    together = fill(model, rows_of(model), temperature)
    for row, filled in zip(rows_of(model), together, strict=True):
        assert torch.equal(fill(model, [row], temperature)[0], filled)


def test_units_stay_and_all_codebooks_are_codes(model: Any) -> None:
    rows = rows_of(model)
    given = [row.codes.clone() for row in rows]
    for row, before, filled in zip(rows, given, fill(model, rows, 1.0), strict=True):
        assert torch.equal(row.codes, before)  # the row itself is not written to
        assert filled.shape == (model.num_codebooks, row.codes.shape[1] - row.num_context)
        assert torch.equal(filled[0], before[0, row.num_context :])
        assert int(filled.min()) >= 0 and int(filled.max()) < 32


def test_what_lies_above_the_units_does_not_matter(model: Any) -> None:
    rows, others = rows_of(model), rows_of(model)
    for row in others:
        # A pitch that stands beside the unit is drawn by stage 1, and given like it.
        first = 2 if getattr(model.config, "num_pitches", 0) else 1
        row.codes[first:, row.num_context :] = 7
    assert all(map(torch.equal, fill(model, rows, 0.0), fill(model, others, 0.0)))


def test_codes_nearest_to_the_expected_input_fit_better_than_the_likeliest() -> None:
    """Over what the model believes, the squared error of their sum is smaller."""
    torch.manual_seed(0)
    model = AcousticLM(AcousticLM.tiny_config()).eval()
    torch.nn.init.normal_(model.to_logits[0].weight)
    vectors = torch.randn(model.num_codebooks - 1, 32, 6)
    row = AcousticRow(
        prompt=torch.randint(32, (4, 7)), codes=torch.randint(32, (4, 9)), text_ids=None
    )
    with torch.no_grad():
        hidden = model(model.batch([row]), torch.ones(1, dtype=torch.long))[0, -9:]
        expected = model.logits(hidden, 1).softmax(-1) @ vectors[0]

    def error(codes: torch.Tensor) -> float:
        return float((vectors[0][codes[1]] - expected).square().mean())

    [likeliest] = fill_codebooks(model, [row])
    [nearest] = fill_codebooks(model, [row], vectors=vectors)
    assert torch.equal(nearest[0], row.codes[0])
    assert error(nearest) < error(likeliest)
