"""Items of a text, in order: segments to say, pauses, what cannot be said; and their groups."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch

from uslm.synthesis.plan_fragments import Waiting
from uslm.synthesis.protocols import SegmentAudio, SegmentRequest
from uslm.text.segmentation import Segment


@dataclass(frozen=True)
class Unspeakable:
    """A segment of the text that holds nothing to say."""

    index: int
    text: str


Item = SegmentRequest | Segment | Unspeakable | Waiting
"""In the order of the text: something to say, a pause, something that cannot be said, or, of a
text that is still being written, that nothing has come."""


def in_groups(items: Iterable[Item], batch_size: int) -> Iterator[list[Item]]:
    """Items to be spoken together: the first segment alone, for a quick start, then several."""
    group: list[Item] = []
    requests, limit = 0, 1
    for item in items:
        if isinstance(item, SegmentRequest) and requests == limit:
            yield group
            group, requests, limit = [], 0, batch_size
        group.append(item)
        requests += isinstance(item, SegmentRequest)
    yield group


def each_alone(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Groups that end with something to say, as soon as it is there, or with waiting for it."""
    group: list[Item] = []
    for item in items:
        group.append(item)
        if isinstance(item, (SegmentRequest, Waiting)):
            yield group
            group = []
    yield group


def whole_audios(audios: Iterator[SegmentAudio]) -> Iterator[SegmentAudio]:
    """The audio of each segment, when it is done; empty ones pass, see `SegmentSynthesizer`."""
    waveforms: list[torch.Tensor] = []
    written = ""
    for audio in audios:
        waveforms.append(audio.waveform)
        written += audio.written
        if audio.result is not None:
            yield replace(audio, waveform=torch.cat(waveforms, dim=1), written=written)
            waveforms, written = [], ""
        elif not audio.waveform.numel():
            yield replace(audio, written="")
