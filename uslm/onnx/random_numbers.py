"""The random numbers that PyTorch's CPU generator gives for a seed, from NumPy."""

import numpy as np

from uslm.synthesis.derived_seeds import derive_seed

STEPS = 1 << 53
"""Numbers in [0, 1) that a double with 53 bits of 64 random ones can be."""


class Uniform:
    """`torch.rand` of one double after another, as `draw_rows` asks a generator for them."""

    def __init__(self, seed: int, *path: int | str) -> None:
        """As `uslm.synthesis.seeds.generator`."""
        # PyTorch seeds its Mersenne twister with the lower half of the seed, in the old way.
        lower = derive_seed(seed, *path) & 0xFFFFFFFF
        self._twister = np.random.RandomState(lower)

    def __call__(self) -> float:
        high, low = map(int, self._twister.randint(0, 2**32, size=2, dtype=np.uint32))
        return (high << 32 | low) % STEPS / STEPS
