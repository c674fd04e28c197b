"""Stage 2 sees which symbol each frame is of, where that is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from uslm.models.base import AcousticRow
from uslm.systems.two_stage.regressor import AcousticRegressor


def row(text_positions: list[int] | None) -> AcousticRow:
    draw = torch.Generator().manual_seed(0)
    return AcousticRow(
        prompt=torch.randint(32, (4, 6), generator=draw),
        codes=torch.randint(32, (4, 8), generator=draw),
        num_context=2,
        text_ids=torch.tensor([3, 1, 4]),
        text_positions=None if text_positions is None else torch.tensor(text_positions),
    )


def predicted(model: AcousticRegressor, *rows: AcousticRow) -> torch.Tensor:
    with torch.no_grad():
        return model(model.batch(rows), torch.ones(len(rows), dtype=torch.long))


@pytest.fixture
def model() -> AcousticRegressor:
    built = AcousticRegressor(AcousticRegressor.tiny_config())
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return built


def test_the_symbol_of_a_frame_is_heard_and_its_index_is_not(model: AcousticRegressor) -> None:
    text_positions = [0, 0, 0, 1, 1, 1, 2, 2]
    one, other = predicted(model, row(text_positions), row([0, 0, 1, 1, 1, 1, 2, 2]))
    assert not torch.allclose(one, other)
    assert not torch.allclose(one, predicted(model, row(None))[0])


def test_symbols_without_a_text_are_nothing(model: AcousticRegressor) -> None:
    silent = replace(row([0] * 8), text_ids=None)
    nothing = replace(row(None), text_ids=None)
    assert torch.equal(predicted(model, silent), predicted(model, nothing))


def test_it_may_be_given_to_a_model_that_did_without() -> None:
    config = AcousticRegressor.tiny_config()
    without = AcousticRegressor(replace(config, condition_on_alignment=False))
    torch.nn.init.normal_(without.to_vector.weight)
    given = AcousticRegressor(config)
    missing, extra = given.load_state_dict(without.state_dict(), strict=False)
    assert (missing, extra) == (["spoken_embedding.weight"], [])
    assert torch.equal(*(predicted(each, row([0] * 8)) for each in (without, given)))
