"""Run-length coding of units: `deduplicate` drops repeats and counts them, `repeat` undoes it.

7 7 7 2 2 7  <->  values 7 2 7, counts 3 2 1
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor

from uslm_tokenizer.nn.padding import length_mask


@dataclass
class Runs:
    """The runs of a padded batch; after `lengths` values and counts are zero."""

    values: Int[Tensor, "b r"]
    counts: Int[Tensor, "b r"]
    lengths: Int[Tensor, " b"]
    """Number of runs in each row."""


def deduplicate(units: Int[Tensor, " t"]) -> tuple[Int[Tensor, " r"], Int[Tensor, " r"]]:
    """Each run of equal units once, and how long it was."""
    values, counts = torch.unique_consecutive(units, return_counts=True)
    return values, counts


def repeat(values: Int[Tensor, " r"], counts: Int[Tensor, " r"]) -> Int[Tensor, " t"]:
    """Each value as often as it is counted; a count of 0 leaves the value out."""
    if len(counts) and int(counts.min()) < 0:
        raise ValueError(f"counts must not be negative, but reach {int(counts.min())}")
    return values.repeat_interleave(counts)


def deduplicate_batch(units: Int[Tensor, "b t"], lengths: Int[Tensor, " b"]) -> Runs:
    """`deduplicate` for the first `lengths` units of each row."""
    b, t = units.shape
    if len(lengths) != b or (b and (int(lengths.min()) < 0 or int(lengths.max()) > t)):
        raise ValueError(f"lengths must be {b} numbers from 0 to {t}, but are {lengths.tolist()}")
    if t == 0:
        return Runs(units, units, lengths)
    real = length_mask(lengths.to(units.device), t)
    starts = F.pad(units[:, 1:] != units[:, :-1], (1, 0), value=True) & real
    run = (starts.cumsum(1) - 1).clamp(min=0)  # the one that each unit belongs to
    rows, frames = starts.nonzero(as_tuple=True)
    values, counts = torch.zeros_like(units), torch.zeros_like(units)
    values[rows, run[rows, frames]] = units[rows, frames]
    counts.scatter_add_(1, run, real.to(units.dtype))
    num_runs = starts.sum(1)
    longest = int(num_runs.max()) if b else 0
    return Runs(values[:, :longest], counts[:, :longest], num_runs)


def repeat_batch(runs: Runs) -> tuple[Int[Tensor, "b t"], Int[Tensor, " b"]]:
    """The units of every row, zero after their lengths; and these lengths."""
    rows = [
        repeat(values[:length], counts[:length])
        for values, counts, length in zip(
            runs.values, runs.counts, runs.lengths.tolist(), strict=True
        )
    ]
    lengths = torch.tensor([len(row) for row in rows], device=runs.values.device)
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), lengths
