"""A recording as a source describes it: where its sound lies, who speaks, what is said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif"})
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Which part of a file a recording is; without one it is the whole file."""

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
    piece: Piece | None = None


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
