"""Limits of the length of speech for its text, where a model says itself when it ends."""

from dataclasses import dataclass

from uslm_tokenizer.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LengthConfig:
    """Limits of the length of speech for its text; a symbol lasts about 3.4 frames."""

    min_frames_per_symbol: float = 1.2
    """Stage 1 may not end before."""
    max_frames_per_symbol: float = 8.0
    """Stage 1 is stopped there, and `margin_frames` later."""
    margin_frames: int = 50
    """Frames beyond, for the silence at both ends."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_frames_per_symbol <= self.max_frames_per_symbol:
            raise ConfigError(f"0 <= min_frames_per_symbol <= max_frames_per_symbol: {self}")
        if self.margin_frames < 1:
            raise ConfigError(f"margin_frames must be 1 or more, but is {self.margin_frames}")

    def min_frames(self, num_symbols: int) -> int:
        """Fewest frames of speech of so many symbols."""
        return int(self.min_frames_per_symbol * num_symbols)

    def max_frames(self, num_symbols: int) -> int:
        """Most frames of it."""
        return int(self.max_frames_per_symbol * num_symbols + self.margin_frames)
