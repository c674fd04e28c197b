"""Report on one spoken segment of a text; it needs no PyTorch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word of the text, and when it is said."""

    text: str
    """As it was written, with the punctuation beside it."""
    start_seconds: float
    """Where it begins in the whole waveform."""
    end_seconds: float
    """Where it ends."""


@dataclass(frozen=True, kw_only=True)
class SegmentReport:
    """Report on one spoken segment of the text."""

    index: int
    """Place in the text, from 0."""
    text: str
    """The segment as it was written."""
    phonemes: str
    """What was asked of the model."""
    start_seconds: float
    """Where it begins in the waveform."""
    end_seconds: float
    """Where it ends in the waveform."""
    seed: int
    """Seed of the attempt that was kept."""
    attempts: int = 1
    """How often it was drawn: once unless it was verified, or the model redraws by itself."""
    phoneme_error_rate: float | None = None
    """Share of phonemes that the model's own recogniser missed; None where it was not verified."""
    stop_reason: str = "end"
    """`end`; `length` and `loop` where the model had to be stopped; `silent` where the segment
    holds nothing that can be spoken."""
    voice: str = ""
    """Who said it, where a script has several voices."""
    words: tuple[Word, ...] | None = None
    """When its words are said; empty where they could not be found, None where nobody asked."""


def rounded(value: Any) -> Any:
    """JSON values with at most four digits after the point: a tenth of a millisecond."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, (tuple, list)) else value
