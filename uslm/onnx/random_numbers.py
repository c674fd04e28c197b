"""The random numbers that PyTorch's CPU generator gives for a seed, from NumPy."""

import numpy as np

from uslm.synthesis.derived_seeds import derive_seed

MANTISSA_BITS = 53
"""Of a double: as many bits of 64 random ones make a number in [0, 1)."""


class Uniform:
    """`torch.rand` of one double after another, as `draw_rows` asks a generator for them."""

    def __init__(self, seed: int, *path: int | str) -> None:
        """As `uslm.synthesis.seeds.generator`."""
        # PyTorch seeds its Mersenne twister with the lower half of the seed, in the old way.
        lower = derive_seed(seed, *path) & 0xFFFFFFFF
        self._twister = np.random.RandomState(lower)

    def __call__(self) -> float:
        high, low = map(int, self._twister.randint(0, 2**32, size=2, dtype=np.uint32))
        bits = (high << 32 | low) & (2**MANTISSA_BITS - 1)
        return bits / float(2**MANTISSA_BITS)
