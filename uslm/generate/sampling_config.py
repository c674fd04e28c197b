"""Numbers by which tokens are chosen; no PyTorch is needed."""

from dataclasses import dataclass

from uslm_tokenizer.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Settings of sampling; the defaults are those that the default model speaks best with."""

    temperature: float = 0.8
    """Sharpens (< 1) or flattens (> 1) the distribution; 0 always takes the likeliest token."""
    top_k: int = 40
    """Only this many of the likeliest tokens may be drawn; 0 means all."""
    top_p: float = 0.95
    """Only the likeliest tokens that together reach this probability may be drawn; 1 means all."""
    repetition_window: int = 10
    """Tokens looked back at for repetition."""
    repetition_penalty: float = 1.0
    """Logits of tokens in the window are divided by this (if positive) or multiplied by it."""
    pitch_temperature: float = 0.7
    """The temperature of pitches, where the model draws them; the rest is of units only."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 5:
            raise UserError(f"temperature must be between 0 and 5, but is {self.temperature}")
        if not 0 <= self.pitch_temperature <= 5:
            raise UserError(
                f"pitch_temperature must be between 0 and 5, but is {self.pitch_temperature}"
            )
        if self.top_k < 0:
            raise UserError(f"top_k must be 0 (all) or more, but is {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p must be above 0 and at most 1, but is {self.top_p}")
        if self.repetition_window < 0:
            raise UserError(f"repetition_window must be 0 or more, but is {self.repetition_window}")
        if not 1 <= self.repetition_penalty <= 10:
            raise UserError(
                f"repetition_penalty must be between 1 and 10, but is {self.repetition_penalty}"
            )
