"""A recording as a source describes it: where its sound lies, who speaks, what is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

AUDIO_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf", ".w64"}
)
# Looked at only to be told: what no one reports is thought to be in the corpus.
OTHER_AUDIO_SUFFIXES = frozenset(
    {".m4a", ".m4b", ".mp4", ".aac", ".wma", ".webm", ".mka", ".amr", ".3gp", ".wv", ".ape", ".sph"}
)
SPLITS = ("train", "valid", "test")
LONGEST_SECONDS = 1e7  # four months


@dataclass(frozen=True, kw_only=True)
class Segment:
    """The part of a file that is a recording; without one it is the whole file."""

    start_seconds: float = 0.0
    stop_seconds: float | None = None
    """None: to the end."""
    offset: int = 0
    """First byte of the audio file inside an archive."""
    num_bytes: int | None = None
    """Bytes of the audio file inside an archive; None: the file is no archive."""
    data: bytes | None = None
    """The audio file itself, where a source streams it from elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recording; nothing is checked against the audio yet."""

    where: str
    """File and line that name it, for messages."""
    audio: Path
    id: str
    source: str
    speaker: str
    language: str = "en"
    text: str = ""
    phonemes: str | None = None
    durations: tuple[float, ...] | None = None
    split: str | None = None
    segment: Segment | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    """Known classes by kind, such as `gender`."""


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A line or a file that cannot be used, and why."""

    where: str
    audio: str
    reason: str


Found = Recording | Rejected


def reject(recording: Recording, reason: str) -> Rejected:
    """The recording among those that cannot be used."""
    return Rejected(where=recording.where, audio=str(recording.audio), reason=reason)


def is_time(value: Any) -> bool:
    """Whether somebody gave seconds that can be; not NaN, not an integer of 400 digits."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= value <= LONGEST_SECONDS
