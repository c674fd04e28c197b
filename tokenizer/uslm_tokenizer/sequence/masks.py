"""Frames that are hidden from a model that has to predict what is there."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from uslm_tokenizer.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class MaskingConfig:
    """Share of the frames that is hidden, and in which spans."""

    share: float = 0.5
    """Share of a row's spans that is hidden."""
    span: int = 8
    """Frames that are hidden together: single ones could be guessed from their neighbours."""

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError(f"masking.share must be above 0 and below 1, but is {self.share}")
        if self.span < 1:
            raise ConfigError(f"masking.span must be at least 1, but is {self.span}")


def draw_hidden(
    num_frames: Sequence[int], config: MaskingConfig, generators: Sequence[torch.Generator]
) -> Bool[Tensor, "b t"]:
    """True where a frame is hidden; each row by its own generator, never its padding.

    A row is cut into spans, from a random place on, of which a random share is hidden: one at
    least, and never all. A row of one frame hides nothing.
    """
    hidden = torch.zeros(len(num_frames), max(num_frames), dtype=torch.bool)
    for row, (count, draw) in enumerate(zip(num_frames, generators, strict=True)):
        span = min(config.span, count // 2)
        if span == 0:
            continue
        first = int(torch.randint(span, (), generator=draw))
        number = (torch.arange(count) + first) // span
        spans = int(number[-1]) + 1
        chosen = min(max(1, round(config.share * spans)), spans - 1)
        which = torch.zeros(spans, dtype=torch.bool)
        which[torch.randperm(spans, generator=draw)[:chosen]] = True
        hidden[row, :count] = which[number]
    return hidden
