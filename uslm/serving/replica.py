"""An engine as a deployment of Ray Serve: one model in a process of its own, on any machine."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from uslm.output.speech import AudioChunk
from uslm.serving import utterance as utterances
from uslm.serving.engine import Engine, EngineConfig
from uslm.serving.listening import Listener
from uslm.synthesis.protocols import SynthesizerSettings
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer import errors

KNOWN = {
    kind.__name__: kind
    for kind in (
        errors.UserError, errors.ConfigError, errors.CheckpointError, errors.AudioError,
        errors.TextError, errors.AlreadyThere, errors.MissingResource, errors.EnvironmentProblem,
        errors.GenerationError, utterances.TimedOut, utterances.Cancelled,
        utterances.EngineClosed, utterances.EngineFailed,
    )
}  # fmt: skip
"""Errors that keep their kind on the way from a replica; any other is one of ours."""


@dataclass(frozen=True)
class Problem:
    """An error on its way to another process, where it is raised: not all can be pickled."""

    kind: str
    message: str

    @classmethod
    def of(cls, error: BaseException) -> "Problem":
        """The nearest kind that is known."""
        kind = next((each.__name__ for each in type(error).__mro__ if each.__name__ in KNOWN), "")
        return cls(kind, str(error) if kind else f"{type(error).__name__}: {error}")

    def error(self) -> Exception:
        """The error again."""
        return KNOWN.get(self.kind, RuntimeError)(self.message)


@dataclass(frozen=True)
class Facts:
    """Facts of the model that its front has to know."""

    sample_rate: int
    settings: SynthesizerSettings


class EngineReplica:
    """Loads the model, and answers the fronts that ask."""

    def __init__(self, load: Callable[[], ZeroShotTTS], config: EngineConfig) -> None:
        tts = load()
        self._engine = Engine(tts.synthesizer, config, frontend=tts.frontend)

    async def facts(self) -> Facts:
        """Facts of the model."""
        return Facts(self._engine.sample_rate, self._engine.settings)

    async def speak(
        self, text: str, voice: VoicePrompt, options: dict[str, Any]
    ) -> AsyncIterator[AudioChunk | Problem]:
        """Chunks as they are made; a problem is the last that comes."""
        utterance = None
        try:
            utterance = self._engine.submit(text, voice, **options)
            listener = Listener(utterance)
            while (chunk := await listener.next()) is not None:
                yield chunk
        except Exception as error:
            yield Problem.of(error)
        finally:
            if utterance is not None:
                utterance.cancel()

    async def call(self, function: Callable[[ZeroShotTTS], Any]) -> Any:
        """The function's result, or a Problem."""
        try:
            return await asyncio.wrap_future(self._engine.call(function))
        except Exception as error:
            return Problem.of(error)

    def check_health(self) -> None:
        """Ray Serve asks now and then, and starts another in place of one that raises."""
        if not self._engine.is_open:
            raise RuntimeError("the engine of this replica has failed")
