"""Position of each phoneme in a recording: the best CTC path (Graves et al. 2006)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.voices.ctc_path import best_ctc_path


def align_ctc(logits: Float[Tensor, "t v"], ids: Sequence[int]) -> list[int] | None:
    """The frame where each id begins; None if they do not fit into the frames. Class 0 is blank."""
    return best_ctc_path(logits.float().log_softmax(dim=-1).numpy(force=True), ids)


def symbols_of(frames: Int[Tensor, " t"], starts: Int[Tensor, " s"]) -> Int[Tensor, " t"]:
    """Index of the symbol that each frame is of, from the frames where the symbols begin; what
    lies before the first belongs to it."""
    return (torch.searchsorted(starts, frames, right=True) - 1).clamp(min=0)
