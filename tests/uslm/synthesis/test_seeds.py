"""One seed gives many, always the same ones."""

from __future__ import annotations

from typing import Any

import pytest

from uslm.synthesis.seeds import MAX_SEED, derive_seed, resolve_seed
from uslm_tokenizer.errors import UserError


def test_derived_seeds_differ_and_stay() -> None:
    seeds = [derive_seed(7, i, kind) for i in range(50) for kind in ("a", "b")]
    assert len(set(seeds)) == 100
    assert all(0 <= seed <= MAX_SEED for seed in seeds)
    assert derive_seed(7, 0) == 926381044385793237


def test_a_seed_is_drawn_where_there_is_none() -> None:
    assert resolve_seed(None) != resolve_seed(None)
    assert resolve_seed(0) == 0


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True, "7"])
def test_a_wrong_seed_is_refused(seed: Any) -> None:
    with pytest.raises(UserError, match="seed must be"):
        resolve_seed(seed)
