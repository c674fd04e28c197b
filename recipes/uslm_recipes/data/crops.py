"""Stretches of acoustic rows that are decoded, beside the recordings they are of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from uslm.models.base import AcousticRow
from uslm_recipes.data.corpus import Corpus


@dataclass
class Crops:
    """Places of the decoded stretches in a batch, and how they sound in truth."""

    rows: list[int]
    """Rows of the batch."""
    prompt_frames: list[int]
    """Frames of their prompts."""
    starts: list[int]
    """First frame of each, counted after the prompt."""
    waveforms: Float[Tensor, "c 1 n"]


def cut_crops(
    corpus: Corpus,
    chosen: Sequence[int],
    rows: Sequence[AcousticRow],
    randoms: Sequence[np.random.Generator],
    *,
    num_frames: int,
    hop_length: int,
    most: int,
) -> Crops | None:
    """A stretch of `num_frames` to fill, of each of the first `most` rows that are long enough.

    Row i is of utterance `chosen[i]` and draws from `randoms[i]`. None: no row is long enough.
    """
    crops = Crops([], [], [], torch.zeros(0))
    waveforms: list[Tensor] = []
    for place, (index, row, random) in enumerate(zip(chosen, rows, randoms, strict=True)):
        last = row.codes.shape[1] - num_frames
        if last < row.num_context or len(waveforms) == most:
            continue
        first = int(random.integers(row.num_context, last + 1))
        start = (row.start + first) * hop_length
        waveform = corpus.waveform(index, start, start + num_frames * hop_length)
        missing = num_frames * hop_length - len(waveform)  # of the last frame
        waveforms.append(nn.functional.pad(waveform, (0, missing)))
        crops.rows.append(place)
        crops.prompt_frames.append(row.prompt.shape[1])
        crops.starts.append(first)
    if not waveforms:
        return None
    crops.waveforms = torch.stack(waveforms)[:, None]
    return crops
