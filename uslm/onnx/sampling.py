"""Choosing a token of one row of logits; the numbers of `uslm.generate.sampling`, in NumPy."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from uslm.generate.sampling_config import Sampling

Logits = Float[np.ndarray, " v"]


def sample(
    logits: Logits, sampling: Sampling, uniform: Callable[[], float], recent: Sequence[int] = ()
) -> int:
    """One token; `recent` are the latest ones, `uniform` gives numbers in [0, 1)."""
    logits = penalize_repetition(logits, recent, sampling.repetition_penalty)
    if sampling.temperature == 0:
        return int(logits.argmax())
    logits = filter_top_k(logits, sampling.top_k)
    return token_at(
        uniform(), filter_top_p(logits / np.float32(sampling.temperature), sampling.top_p)
    )


def sample_pitch(logits: Logits, sampling: Sampling, uniform: Callable[[], float]) -> int:
    """One pitch."""
    if sampling.pitch_temperature == 0:
        return int(logits.argmax())
    return token_at(uniform(), logits / np.float32(sampling.pitch_temperature))


def filter_top_k(logits: Logits, k: int) -> Logits:
    """-inf for all but the `k` largest logits; k = 0 changes nothing."""
    if k <= 0 or k >= len(logits):
        return logits
    smallest = np.partition(logits, -k)[-k]
    return np.where(logits < smallest, np.float32(-np.inf), logits)


def filter_top_p(logits: Logits, p: float) -> Logits:
    """-inf for all but the smallest set of tokens whose probability reaches `p` (nucleus)."""
    if p >= 1:
        return logits
    order = np.argsort(-logits, kind="stable")
    probabilities = softmax(logits[order])
    # A token stays if those before it have not reached p: the likeliest one always does.
    dropped = order[probabilities.cumsum() - probabilities >= p]
    kept = logits.copy()
    kept[dropped] = -np.inf
    return kept


def penalize_repetition(logits: Logits, recent: Sequence[int], penalty: float) -> Logits:
    """Make recent tokens less likely (Keskar et al. 2019, CTRL, section 4.1)."""
    if penalty == 1 or not recent:
        return logits
    logits, index = logits.copy(), sorted(set(recent))
    chosen = logits[index]
    logits[index] = np.where(chosen > 0, chosen / penalty, chosen * penalty)
    return logits


def token_at(uniform: float, logits: Logits) -> int:
    """The token where the cumulative distribution passes a number in [0, 1)."""
    cumulative = softmax(logits.astype(np.float64)).cumsum()
    return min(int((cumulative <= uniform * cumulative[-1]).sum()), len(logits) - 1)


def softmax(logits: Float[np.ndarray, " _"]) -> Float[np.ndarray, " _"]:
    shares = np.exp(logits - logits.max())
    normal: Float[np.ndarray, " _"] = shares / shares.sum()
    return normal
