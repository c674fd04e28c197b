"""Sources of random numbers, one for each thing that is drawn, from one seed for a whole text."""

import torch

from uslm.synthesis.derived_seeds import MAX_SEED as MAX_SEED
from uslm.synthesis.derived_seeds import derive_seed as derive_seed
from uslm.synthesis.derived_seeds import resolve_seed as resolve_seed


def generator(seed: int, *path: int | str) -> torch.Generator:
    """A source of random numbers on the CPU, seeded by `derive_seed`."""
    return torch.Generator().manual_seed(derive_seed(seed, *path))
