"""The interface of an engine, as a server uses it: of one model here, or of replicas elsewhere."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from uslm.serving.utterance import Utterance
from uslm.synthesis.live_text import LiveText
from uslm.synthesis.protocols import SynthesizerSettings
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt

Result = TypeVar("Result")


@dataclass(kw_only=True)
class EngineStats:
    """Counts of an engine's work so far."""

    active: int = 0
    """Requests that are worked on."""
    waiting: int = 0
    """Requests and calls in the queue."""
    done: int = 0
    """Requests that were answered in full."""
    failed: int = 0
    """Requests that ended with an error."""
    cancelled: int = 0
    """Requests whose caller left, stalled, or was still there at the end."""
    timed_out: int = 0
    """Requests that took too long."""
    refused: int = 0
    """Requests that found the queue full."""
    moved: int = 0
    """Requests that went on at another replica, as theirs was lost."""
    steps: int = 0
    """Steps of stage 1; 0 for models that cannot share them."""
    row_steps: int = 0
    """Units drawn in them."""
    audio_seconds: float = 0.0
    """Speech that was made."""
    busy_seconds: float = 0.0
    """Time at work."""


class SpeechEngine(Protocol):
    """Speaks for many callers; its methods may be called from any thread."""

    @property
    def sample_rate(self) -> int:
        """Samples per second of what is spoken, Hz."""
        ...

    @property
    def settings(self) -> SynthesizerSettings:
        """Name and languages of the model."""
        ...

    @property
    def reads_live_text(self) -> bool:
        """Whether text that is still being written is spoken before it is whole."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether requests are taken."""
        ...

    @property
    def has_failed(self) -> bool:
        """Whether a mistake of ours has ended the work for good."""
        ...

    def submit(self, text: str | LiveText, voice: VoicePrompt, **options: Any) -> Utterance:
        """Queue a text; `options` are those of `ZeroShotTTS.stream`. Raises QueueFull, or
        EngineClosed; any mistake in the request comes out of the utterance."""
        ...

    def call(self, function: Callable[[ZeroShotTTS], Result]) -> "Future[Result]":
        """Have something else done with the model: a voice made, say."""
        ...

    def stats(self) -> EngineStats:
        """Counts until now."""
        ...

    def refuse(self) -> None:
        """Take no more requests; those that are there go on. May be called by a signal handler."""
        ...

    def close(self) -> None:
        """Refuse what is new, and end what is there."""
        ...
