"""Things that all tabs of one page share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr

from uslm_demo.comparing import Codecs
from uslm_demo.limits import Limits
from uslm_demo.model import Model
from uslm_demo.session_voices import SessionVoices
from uslm_demo.unfinished import Unfinished
from uslm_demo.voices import voice_names
from uslm_demo.widgets.sounds import Sounds

SPEAKING = "speaking"
"""What speaks: as many at a time as the model has slots."""
LISTENING = "listening"
"""What makes voices and looks at codes waits in one line: two at a time would only get in each
other's way."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """Things that all tabs of one page share."""

    model: Model
    limits: Limits
    session_voices: SessionVoices
    codecs: Codecs
    examples: list[Path]
    """Recordings that visitors may try."""
    sounds: Sounds = field(default_factory=Sounds)
    unfinished: Unfinished = field(default_factory=Unfinished)

    def voice_names(self, request: gr.Request | None) -> list[str]:
        """The voices that a visitor can name: their own, and stock voices."""
        return voice_names(self.session_voices.store(session_of(request)))


def session_of(request: gr.Request | None) -> str | None:
    """Session of whoever asks."""
    return None if request is None else request.session_hash
