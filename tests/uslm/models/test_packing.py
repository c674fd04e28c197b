"""Utterances that share a row are as if each had its own."""

from __future__ import annotations

import pytest
import torch

from uslm.models.base import AcousticRow
from uslm.models.packing import first_fit, pack_rows
from uslm.systems.two_stage.regressor import AcousticRegressor

LENGTHS = [(5, 12), (3, 4), (0, 9), (6, 2), (2, 3), (1, 16)]
"""Frames of prompt and target."""


def rows(with_text: bool) -> list[AcousticRow]:
    def codes(num_frames: int) -> torch.Tensor:
        return torch.randint(32, (4, num_frames))

    return [
        AcousticRow(
            prompt=codes(prompt),
            codes=codes(frames),
            num_context=number % 2,
            start=3 * number,
            text_ids=torch.randint(1, 53, (2 + number,)) if with_text and number % 3 else None,
            text_positions=torch.randint(2 + number, (frames,)) if number % 2 else None,
        )
        for number, (prompt, frames) in enumerate(LENGTHS)
    ]


@pytest.fixture
def model() -> AcousticRegressor:
    built = AcousticRegressor(AcousticRegressor.tiny_config())
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return built


@pytest.mark.parametrize("with_text", [True, False])
def test_a_packed_row_predicts_what_each_alone_does(
    model: AcousticRegressor, with_text: bool
) -> None:
    plain = rows(with_text)
    packed = pack_rows(plain, model.device)
    assert len(packed.codes) < len(plain) and packed.frame_mask.float().mean() > 0.8
    bins = first_fit([sum(lengths) for lengths in LENGTHS])
    found = model(packed, torch.ones(len(bins), dtype=torch.long))
    for row, each in zip(found, bins, strict=True):
        start = 0
        for index in each:
            alone = model(model.batch([plain[index]]), torch.ones(1, dtype=torch.long))[0]
            torch.testing.assert_close(row[start : start + len(alone)], alone, rtol=1e-4, atol=1e-5)
            start += len(alone)


def test_loss_and_gradients_are_the_same(model: AcousticRegressor) -> None:
    plain = rows(with_text=True)
    losses, gradients = [], []
    for batch in (model.batch(plain), pack_rows(plain, model.device)):
        model.zero_grad()
        loss = model.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss)
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(losses[0], losses[1])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_bins_hold_everything_once_and_are_no_longer_than_the_longest() -> None:
    lengths = [17, 7, 9, 8, 5, 17, 1, 1]
    bins = first_fit(lengths)
    assert sorted(index for each in bins for index in each) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in each) <= 17 for each in bins) and len(bins) == 4
    assert len(first_fit(lengths, 40)) == 2 and len(first_fit(lengths, 100)) == 1
