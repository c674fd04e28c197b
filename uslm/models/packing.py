"""Several utterances after each other in one row: little is padded, and none sees another.

    text a | text b | ...   frames a | frames b | ...

What is saved of padding, attention over longer rows costs again: it pays for wide models.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from uslm.models.base import AcousticBatch, AcousticRow, batch_rows
from uslm_tokenizer.nn.padding import pad_right


def pack_rows(
    rows: Sequence[AcousticRow], device: torch.device, max_frames: int = 0
) -> AcousticBatch:
    """A batch of fewer rows with the same utterances; none has more frames than `max_frames`, or
    than the longest utterance."""
    plain = batch_rows(rows, torch.device("cpu"))
    bins = first_fit(plain.frame_mask.sum(dim=1).tolist(), max_frames)

    def joined(values: Tensor, mask: Tensor) -> Tensor:
        return _padded([torch.cat([values[i][mask[i]] for i in each]) for each in bins])

    texts, frames = plain.text_mask, plain.frame_mask
    number = torch.zeros(len(rows), dtype=torch.long)
    for each in bins:
        number[each] = torch.arange(1, len(each) + 1)
    symbols = torch.arange(texts.shape[1]).float().expand(len(rows), -1)
    text_rows = joined(number[:, None].expand_as(texts), texts)
    frame_rows = joined(number[:, None].expand_as(frames), frames)
    return AcousticBatch(
        text_ids=joined(plain.text_ids, texts).to(device),
        text_mask=(text_rows > 0).to(device),
        codes=joined(plain.codes.transpose(1, 2), frames).transpose(1, 2).to(device),
        frame_mask=(frame_rows > 0).to(device),
        is_target=joined(plain.is_target, frames).to(device),
        positions=joined(plain.positions, frames).to(device),
        spoken_ids=joined(plain.spoken_ids, frames).to(device),
        text_positions=joined(symbols, texts).to(device),
        text_rows=text_rows.to(device),
        frame_rows=frame_rows.to(device),
    )


def first_fit(lengths: Sequence[int], most: int = 0) -> list[list[int]]:
    """Numbers of the lengths, put together so that no sum is above `most`, or above the longest of
    them: the longest first, each where there is room."""
    most = max(most, *lengths)
    bins: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        place = next((p for p, left in enumerate(room) if left >= lengths[index]), len(bins))
        if place == len(bins):
            bins.append([])
            room.append(most)
        bins[place].append(index)
        room[place] -= lengths[index]
    return bins


def _padded(rows: Sequence[Tensor]) -> Tensor:
    return pad_right(rows)[0]
