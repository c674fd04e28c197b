"""Levenshtein's distance, by its own definition on short sequences."""

from __future__ import annotations

from functools import cache
from random import Random

import pytest

from uslm_tokenizer.sequence.edit_distance import edit_distance


def by_definition(a: str, b: str) -> int:
    @cache
    def distance(i: int, j: int) -> int:
        if min(i, j) == 0:
            return max(i, j)
        swap = distance(i - 1, j - 1) + (a[i - 1] != b[j - 1])
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, swap)

    return distance(len(a), len(b))


@pytest.mark.parametrize("seed", range(20))
def test_equals_the_definition(seed: int) -> None:
    random = Random(seed)
    a, b = ("".join(random.choices("abc", k=random.randrange(9))) for _ in range(2))
    assert edit_distance(a, b) == by_definition(a, b) == edit_distance(b, a)
