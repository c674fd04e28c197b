"""Rows of unequal length side by side, and where there is no padding."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn


def length_mask(lengths: Int[Tensor, " b"], size: int) -> Bool[Tensor, "b n"]:
    """True at the positions that belong to a row, False in its padding."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def frame_waveform(
    waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None, hop_length: int
) -> tuple[Float[Tensor, "b 1 padded"], Bool[Tensor, "b t"]]:
    """Rows in whole frames with silence after `lengths`, and the frames that count."""
    num_frames = -(-waveform.shape[-1] // hop_length)
    waveform = F.pad(waveform, (0, num_frames * hop_length - waveform.shape[-1]))
    if lengths is None:
        lengths = waveform.new_full((len(waveform),), waveform.shape[-1], dtype=torch.long)
    waveform = waveform * length_mask(lengths, waveform.shape[-1])[:, None]
    frames = torch.arange(num_frames, device=waveform.device)
    return waveform, frames * hop_length < lengths[:, None]


def pad_right(
    rows: Sequence[Shaped[Tensor, "_ *rest"]], value: int = 0
) -> tuple[Shaped[Tensor, "b l *rest"], Bool[Tensor, "b l"]]:
    """Rows that begin together, `value` after their ends; and `length_mask`."""
    padded = nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value)
    lengths = torch.tensor([len(row) for row in rows], device=padded.device)
    return padded, length_mask(lengths, padded.shape[1])


def pad_left(
    rows: Sequence[Shaped[Tensor, "_ *rest"]], value: int = 0
) -> tuple[Shaped[Tensor, "b l *rest"], Bool[Tensor, "b l"]]:
    """Rows that end together, `value` before their beginnings; and where there is none."""
    flipped, mask = pad_right([row.flip(0) for row in rows], value)
    return flipped.flip(1), mask.flip(1)
