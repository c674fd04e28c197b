"""Stage 2 in blocks, so that sound is there before the sentence is.

    units    |<- context ->|<--- block --->|<lookahead>| ...
    codes     made before    made now        made and thrown away

Stage 2 sees both sides, so a block is filled together with a few units to its right. The first
block is small, for a quick start; each next one is larger, as the sound made so far covers the
time it takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.models.base import AcousticRow
from uslm_tokenizer.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class BlockSchedule:
    """Sizes of the blocks that stage 2 fills."""

    first_frames: int = 24
    """Frames of sound in the first block; the codec's lag comes on top."""
    growth: float = 3.0
    """Each block is so many times longer than the one before; sound does not break off as long as
    a second of it takes less than 1 / growth seconds to make."""
    max_frames: int = 300
    """Longest block; segments of the text after the first start with it."""
    lookahead_frames: int = 8
    """Units to the right of a block that are looked at."""
    context_frames: int = 100
    """Finished frames to the left of a block that are looked at."""

    def __post_init__(self) -> None:
        if self.first_frames < 1 or self.max_frames < 1 or self.growth < 1:
            raise ConfigError(f"first_frames, max_frames and growth must be 1 or more: {self}")
        if self.lookahead_frames < 0 or self.context_frames < 0:
            raise ConfigError(f"lookahead_frames and context_frames must be 0 or more: {self}")

    def block_frames(self, index: int, *, low_latency: bool, lag: int) -> int:
        """Length of block `index`; `low_latency` starts small, `lag` are frames that the codec
        holds."""
        if not low_latency:
            return self.max_frames
        if index == 0:
            return self.first_frames + lag
        return min(self.max_frames, round(self.first_frames * self.growth**index))


class CodeBlocks:
    """The codes of one segment of speech, growing as its units become known.

    `plan` says what stage 2 is to fill next, `accept` takes what it made of it. The blocks depend
    on the units only, not on how many of them are known at which call.
    """

    def __init__(
        self,
        schedule: BlockSchedule,
        prompt: Int[Tensor, "k p"] | AcousticRow,
        text_ids: Int[Tensor, " s"] | None,
        *,
        low_latency: bool = False,
        lag: int = 0,
    ) -> None:
        """`prompt` is the voice: codes, or a row without frames, with all that is known of it."""
        if isinstance(prompt, Tensor):
            prompt = AcousticRow(prompt=prompt, codes=prompt[:, :0])
        self.codes: Tensor = prompt.codes
        """All that is made, [k, t]."""
        self._schedule, self._voice, self._text_ids = schedule, prompt, text_ids
        self._low_latency, self._lag = low_latency, lag
        self._index = self._planned = 0

    @property
    def num_frames(self) -> int:
        """Frames that are made."""
        return self.codes.shape[1]

    def plan(
        self,
        units: Sequence[int],
        is_final: bool,
        text_positions: Sequence[int] = (),
        pitches: Sequence[int] = (),
    ) -> AcousticRow | None:
        """The next block of the units so far, or None before there are enough of them.

        `text_positions` tells of each unit the index of the symbol that it is of, if that is known;
        `pitches` its pitch, where stage 2 is to be given that.
        """
        done, schedule = self.num_frames, self._schedule
        waiting = len(units) - done
        size = schedule.block_frames(self._index, low_latency=self._low_latency, lag=self._lag)
        if waiting < size + schedule.lookahead_frames:
            if not is_final or waiting <= 0:
                return None
            size = waiting
        self._planned = size
        context = min(schedule.context_frames, done)
        shown = units[done : done + size + schedule.lookahead_frames]
        target = self.codes.new_zeros(len(self.codes), len(shown))
        target[0] = torch.tensor(shown)
        first, last = done - context, done + len(shown)
        if pitches:
            target[1] = torch.tensor(pitches[done:last])
        return replace(
            self._voice,
            codes=torch.cat([self.codes[:, first:], target], dim=1),
            num_context=context,
            start=first,
            text_ids=self._text_ids,
            text_positions=torch.tensor(text_positions[first:last]) if text_positions else None,
        )

    def accept(self, filled: Int[Tensor, "k f"]) -> None:
        """Keep the planned block of what was filled."""
        new = filled[:, : self._planned].to(self.codes.device)
        self.codes = torch.cat([self.codes, new], dim=1)
        self._index += 1
