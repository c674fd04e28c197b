"""Sizes of the blocks that stage 2 fills; it needs no PyTorch.

units    |<- context ->|<--- block --->|<lookahead>| ...
codes     made before    made now        made and thrown away
"""

from dataclasses import dataclass

from uslm_tokenizer.errors import ConfigError


@dataclass(frozen=True)
class Block:
    """The frames of a segment that are to be filled next."""

    first: int
    """Frame where what stage 2 looks at begins: the context."""
    start: int
    """The first frame of the block."""
    stop: int
    """After its last one."""
    last: int
    """After the last frame that is looked at."""


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

    def next_block(
        self, index: int, done: int, known: int, is_final: bool, *, low_latency: bool, lag: int
    ) -> Block | None:
        """Block `index`, where `done` frames are filled and the units of `known` are there, all of
        them if it `is_final`; None before there are enough of them."""
        waiting = known - done
        size = self.block_frames(index, low_latency=low_latency, lag=lag)
        if waiting < size + self.lookahead_frames:
            if not is_final or waiting <= 0:
                return None
            size = waiting
        return Block(
            first=done - min(self.context_frames, done),
            start=done,
            stop=done + size,
            last=min(known, done + size + self.lookahead_frames),
        )
