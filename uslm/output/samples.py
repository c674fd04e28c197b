"""Samples that leave a model: finite, and in range."""

from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.errors import GenerationError


def checked_samples(waveform: Float[Tensor, "1 n"], what: str) -> Float[Tensor, "1 n"]:
    """In [-1, 1]. Raises GenerationError, naming what they say, unless they are finite numbers."""
    if not bool(waveform.isfinite().all()):
        raise GenerationError(f"the samples of {what} are not finite numbers")
    return waveform.clamp(-1, 1)
