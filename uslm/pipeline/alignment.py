"""Where each phoneme lies in a recording: the best CTC path (Graves et al. 2006)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor


def align_ctc(logits: Float[Tensor, "t v"], ids: Sequence[int]) -> list[int] | None:
    """The frame where each id begins; None if they do not fit into the frames. Class 0 is blank."""
    scores = logits.float().log_softmax(dim=-1).numpy(force=True)
    states = np.zeros(2 * len(ids) + 1, dtype=np.int64)  # blank, first id, blank, second id, ...
    states[1::2] = ids
    back = _best_path(scores, states)
    state = len(states) - 1 if back.final[-1] >= back.final[-2:].max() else len(states) - 2
    if not ids or not np.isfinite(back.final[state]):
        return None if ids else []
    starts = [0] * len(ids)
    for frame in range(len(scores) - 1, -1, -1):
        if state % 2:
            starts[state // 2] = frame
        state -= int(back.steps[frame, state])
    return starts


class _Path:
    """Scores of ending in each state, and how many states each step came forward."""

    def __init__(self, steps: NDArray[np.int8], final: NDArray[np.float64]) -> None:
        self.steps, self.final = steps, final


def _best_path(scores: NDArray[np.float32], states: NDArray[np.int64]) -> _Path:
    steps = np.zeros((len(scores), len(states)), dtype=np.int8)
    # Over a blank one may jump, but not between two equal ids: they would become one.
    may_jump = np.zeros(len(states), dtype=bool)
    may_jump[3::2] = states[3::2] != states[1:-2:2]
    best = np.full(len(states), -np.inf)
    best[0] = 0.0  # before the first frame
    for frame, row in enumerate(scores):
        one = np.concatenate([[-np.inf], best[:-1]])
        two = np.concatenate([[-np.inf, -np.inf], best[:-2]])[: len(states)]
        ways = np.stack([best, one, np.where(may_jump, two, -np.inf)])
        steps[frame] = ways.argmax(axis=0)
        best = ways.max(axis=0) + row[states]
        if frame == 0:
            best[2:] = -np.inf
    return _Path(steps, best)
