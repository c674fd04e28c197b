"""Limits for one visitor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits for one visitor."""

    max_chars: int = 2_000
    """Longest text that is spoken at once, characters."""
    max_long_chars: int = 20_000
    """Longest text that is worked on segment by segment, characters."""
    max_source_seconds: float = 60.0
    """Longest recording that is converted; what comes after is left out."""
    max_clip_seconds: float = 20.0
    """Longest clip that codecs are compared on; what comes after is left out."""
    max_upload: str = "20mb"
    """Largest file, as Gradio writes it."""
    max_waiting: int = 16
    """Requests that may wait; further ones are refused."""
