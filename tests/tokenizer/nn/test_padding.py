"""Rows side by side keep their values, and masks say where these are."""

from __future__ import annotations

import torch

from uslm_tokenizer.nn.padding import length_mask, pad_left, pad_right


def test_what_the_mask_shows_are_the_rows() -> None:
    rows = [torch.tensor([1, 2, 3]), torch.tensor([], dtype=torch.long), torch.tensor([4])]
    for pad in (pad_left, pad_right):
        padded, mask = pad(rows, 9)
        assert padded.shape == (3, 3) and bool((padded[~mask] == 9).all())
        assert [line[there].tolist() for line, there in zip(padded, mask, strict=True)] == [
            row.tolist() for row in rows
        ]
    assert padded[2].tolist() == [4, 9, 9] and pad_left(rows, 9)[0][2].tolist() == [9, 9, 4]
    assert torch.equal(mask, length_mask(torch.tensor([3, 0, 1]), 3))


def test_rows_of_vectors_are_padded_too() -> None:
    padded, mask = pad_right([torch.ones(2, 4), torch.ones(3, 4)])
    assert padded.shape == (2, 3, 4) and mask.sum().item() == 5 and padded.sum().item() == 20
