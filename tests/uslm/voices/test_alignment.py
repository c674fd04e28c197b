"""CTC alignment finds the best of all paths."""

from __future__ import annotations

import itertools

import pytest
import torch

from uslm.voices.alignment import align_ctc


def collapse(path: tuple[int, ...]) -> list[int]:
    return [symbol for symbol, _ in itertools.groupby(path) if symbol]


@pytest.mark.parametrize("ids", [[1], [1, 2], [1, 1], [2, 1, 2], [1, 2, 2]])
def test_it_is_the_best_of_all_paths(ids: list[int]) -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(len(ids)))
    scores = logits.log_softmax(dim=-1)
    paths = [path for path in itertools.product(range(3), repeat=6) if collapse(path) == ids]
    best = max(paths, key=lambda path: sum(float(scores[t, s]) for t, s in enumerate(path)))
    starts = [t for t, s in enumerate(best) if s and (t == 0 or best[t - 1] != s)]
    assert align_ctc(logits, ids) == starts


def test_more_ids_than_frames_do_not_fit() -> None:
    assert align_ctc(torch.zeros(2, 5), [1, 2, 3]) is None
    assert align_ctc(torch.zeros(2, 5), [1, 1]) is None  # a blank must lie between
    assert align_ctc(torch.zeros(2, 5), [1, 2]) == [0, 1]


def test_nothing_to_align() -> None:
    assert align_ctc(torch.zeros(3, 5), []) == []
    assert align_ctc(torch.zeros(0, 5), [1]) is None
