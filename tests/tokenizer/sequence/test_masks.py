"""Masks: whole spans, the promised share, never padding, never all of a row."""

import pytest
import torch

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.sequence.masks import MaskingConfig, draw_hidden


def draws(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


def test_spans_of_the_promised_share() -> None:
    hidden = draw_hidden([400] * 50, MaskingConfig(share=0.75, span=8), draws(50))
    assert float(hidden.float().mean()) == pytest.approx(0.75, abs=0.02)
    for row in hidden:
        _, counts = torch.unique_consecutive(row, return_counts=True)
        assert bool((counts[1:-1] % 8 == 0).all())
    assert len({tuple(row.tolist()) for row in hidden}) == 50


@pytest.mark.parametrize("count", [2, 3, 5, 9])
def test_short_rows_hide_something_and_not_all(count: int) -> None:
    hidden = draw_hidden([count, 20], MaskingConfig(share=0.9, span=8), draws(2))
    assert 0 < int(hidden[0, :count].sum()) < count
    assert not bool(hidden[0, count:].any())


def test_one_frame_hides_nothing() -> None:
    assert not bool(draw_hidden([1], MaskingConfig(), draws(1)).any())


def test_bad_configs_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"masking\.share must be above 0 and below 1, but is 1"):
        MaskingConfig(share=1.0)
    with pytest.raises(ConfigError, match=r"masking\.span must be at least 1, but is 0"):
        MaskingConfig(span=0)
