"""The codes of a frame: those of a codebook are scored by what comes before them, and no more."""

from __future__ import annotations

import pytest
import torch

from uslm.models.depth import DepthDecoder


@pytest.fixture
def decoder() -> DepthDecoder:
    torch.manual_seed(0)
    return DepthDecoder(
        num_codebooks=4, codebook_size=9, first_size=7, state_dim=12, dim=16, num_heads=2,
        num_layers=2,
    ).eval()  # fmt: skip


def test_logits_of_a_code_depend_on_no_code_from_there_on(decoder: DepthDecoder) -> None:
    state, first = torch.randn(3, 12), torch.tensor([0, 3, 6])
    codes = torch.randint(9, (3, 4))
    before = decoder(state, first, codes)
    for k in range(4):
        other = codes.clone()
        other[:, k] = (other[:, k] + 1) % 9
        after = decoder(state, first, other)
        assert torch.equal(before[:, : k + 1], after[:, : k + 1])
        assert k == 3 or bool((before[:, k + 1 :] != after[:, k + 1 :]).any(dim=-1).all())
    assert bool((decoder(state, first.flip(0), codes) != before)[0].any(dim=-1).all())
    assert bool((decoder(state.flip(0), first, codes) != before)[0].any(dim=-1).all())


def test_one_code_after_another_equals_the_whole(decoder: DepthDecoder) -> None:
    state, first = torch.randn(3, 12), torch.tensor([0, 3, 6])
    codes = torch.randint(10, (3, 4))  # the initial token may be among them
    whole, cache = decoder(state, first, codes), decoder.new_cache(3)
    last = first
    for k in range(4):
        logits = decoder.step(state, last, cache)
        torch.testing.assert_close(logits, whole[:, k], atol=1e-5, rtol=1e-5)
        last = codes[:, k]
    alone = decoder(state[1:2], first[1:2], codes[1:2])
    torch.testing.assert_close(alone[0], whole[1], atol=1e-5, rtol=1e-5)
