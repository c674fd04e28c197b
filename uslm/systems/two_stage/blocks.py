"""Stage 2 in blocks, so that sound is there before the sentence is.

    units    |<- context ->|<--- block --->|<lookahead>| ...
    codes     made before    made now        made and thrown away

Stage 2 sees both sides, so a block is filled together with a few units to its right. The first
block is small, for a quick start; each next one is larger, as the sound made so far covers the
time it takes.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.generate.block_schedule import BlockSchedule as BlockSchedule
from uslm.models.base import AcousticRow


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
        block = self._schedule.next_block(
            self._index, self.num_frames, len(units), is_final,
            low_latency=self._low_latency, lag=self._lag,
        )  # fmt: skip
        if block is None:
            return None
        self._planned = block.stop - block.start
        shown = units[block.start : block.last]
        target = self.codes.new_zeros(len(self.codes), len(shown))
        target[0] = torch.tensor(shown)
        if pitches:
            target[1] = torch.tensor(pitches[block.start : block.last])
        spoken = text_positions[block.first : block.last]
        return replace(
            self._voice,
            codes=torch.cat([self.codes[:, block.first :], target], dim=1),
            num_context=block.start - block.first,
            start=block.first,
            text_ids=self._text_ids,
            text_positions=torch.tensor(spoken) if text_positions else None,
        )

    def accept(self, filled: Int[Tensor, "k f"]) -> None:
        """Keep the planned block of what was filled."""
        new = filled[:, : self._planned].to(self.codes.device)
        self.codes = torch.cat([self.codes, new], dim=1)
        self._index += 1
