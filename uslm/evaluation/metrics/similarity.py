"""Speaker similarity: how alike two voices are, and what real voices reach."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

SpeakerModel = Callable[[Float[Tensor, " n"]], Float[Tensor, " d"]]
"""A waveform of 16 kHz -> a vector that stands for the voice."""


def cosine(a: Float[Tensor, " d"], b: Float[Tensor, " d"]) -> float:
    """1 for one voice, about 0.5 (Resemblyzer) for two."""
    return float(torch.cosine_similarity(a.float(), b.float(), dim=0))


def impostors(
    voice: Float[Tensor, " d"], others: Sequence[Float[Tensor, " d"]]
) -> tuple[float, float]:
    """Mean similarity of a voice to those of other people, and that of the nearest of them."""
    if not others:
        raise ValueError("others must not be empty")
    similarities = [cosine(voice, other) for other in others]
    return sum(similarities) / len(similarities), max(similarities)
