"""Position of each phoneme in a recording: the best CTC path (Graves et al. 2006); in NumPy."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def best_ctc_path(scores: Float[np.ndarray, "t v"], ids: Sequence[int]) -> list[int] | None:
    """The frame where each id begins, by log-probabilities; None if they do not fit into the
    frames. Class 0 is blank."""
    states = np.zeros(2 * len(ids) + 1, dtype=np.int64)  # blank, first id, blank, second id, ...
    states[1::2] = ids
    # Over a blank one may jump, but not between two equal ids: they would become one.
    may_jump = np.zeros(len(states), dtype=bool)
    may_jump[3::2] = states[3::2] != states[1:-2:2]

    best = np.full(len(states), -np.inf)  # score of the best path that ends in each state
    best[0] = 0.0
    steps = np.zeros((len(scores), len(states)), dtype=np.int8)  # how far it came forward last
    for frame, row in enumerate(scores):
        one = np.concatenate([[-np.inf], best])[: len(states)]
        two = np.concatenate([[-np.inf, -np.inf], best])[: len(states)]
        ways = np.stack([best, one, np.where(may_jump, two, -np.inf)])
        steps[frame] = ways.argmax(axis=0)
        best = ways.max(axis=0) + row[states]

    # A path ends in the last id or in the blank after it.
    state = len(states) - 1 - int(len(ids) > 0 and best[-2] > best[-1])
    if not np.isfinite(best[state]):
        return None
    starts = [0] * len(ids)
    for frame in range(len(scores) - 1, -1, -1):
        if state % 2:
            starts[state // 2] = frame
        state -= int(steps[frame, state])
    return starts
