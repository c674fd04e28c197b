"""State that all routes of one server share."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field

from anyio.to_thread import run_sync

from uslm.output.watermark import Watermark
from uslm.serving.protocol import SpeechEngine
from uslm.voices.prompt import VoicePrompt
from uslm.voices.stock import stock_voices
from uslm.voices.store import VoiceStore
from uslm_app.server.conversations import Conversations
from uslm_app.server.errors import ApiError
from uslm_app.server.metrics import Metrics
from uslm_app.server.settings import ServeSettings
from uslm_tokenizer.errors import MissingResource, UserError

MODEL_ALIASES = ("default", "tts-1", "tts-1-hd", "gpt-4o-mini-tts")
"""Names under which clients ask for the model that there is."""
DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")
"""At the end of such a name: the version that is meant."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """The engine, the voices and the limits."""

    engine: SpeechEngine
    voices: VoiceStore
    settings: ServeSettings
    metrics: Metrics
    watermark: Watermark | None = None
    """The mark that all speech gets, if any."""
    conversations: Conversations | None = None
    """Conversations in full duplex, where they can be had."""
    made: dict[str, VoicePrompt] = field(default_factory=dict)
    """Stock voices that were asked for already."""
    started: int = field(default_factory=lambda: int(time.time()))

    @property
    def model_name(self) -> str:
        """Name of the model."""
        return self.engine.settings.name

    def check_model(self, name: str) -> None:
        """Raise ApiError if there is no such model."""
        if self.model_name != name and DATE.sub("", name) not in MODEL_ALIASES:
            raise ApiError(
                404, f"there is no model {name!r}; there is {self.model_name!r}",
                param="model", code="model_not_found",
            )  # fmt: skip

    def voice_names(self) -> list[str]:
        """All voices that can be asked for: those that are kept, then stock voices."""
        kept = self.voices.names()
        return [*kept, *(name for name in stock_voices() if name not in kept)]

    def meant(self, name: str) -> str:
        """The voice that a name means: a kept one of that name, or else what it is an alias of."""
        return name if name in self.voices.names() else self.settings.voice_aliases.get(name, name)

    def is_stock(self, name: str) -> bool:
        """Whether a name is that of a stock voice, and of no kept one."""
        return name in stock_voices() and name not in self.voices.names()

    async def find_voice(self, name: str, *, status: int, param: str | None = None) -> VoicePrompt:
        """The voice that a name means; a stock voice in the codes of another model is made once."""
        name = await run_sync(self.meant, name)
        if not await run_sync(self.is_stock, name):
            return await run_sync(lambda: self.load_voice(name, status=status, param=param))
        if name not in self.made:
            make = self.engine.call(lambda tts: tts.stock_voice(name))
            self.made[name] = await asyncio.wrap_future(make)
        return self.made[name]

    def load_voice(self, name: str, *, status: int, param: str | None = None) -> VoicePrompt:
        """A kept voice. What a file's error says may hold its path: it is not repeated."""
        try:
            return self.voices.load(name)
        except MissingResource:
            there_are = f"there are {', '.join(self.voice_names()[:20])}"
            message = f"there is no voice {name!r}; {there_are}"
            raise ApiError(status, message, param=param, code="voice_not_found") from None
        except UserError:
            if is_kept := name in self.voices.names():
                message = f"voice {name!r} is damaged, or of another version"
            else:
                message = f"{name!r} is no name of a voice"
            code = "voice_unusable" if is_kept else "bad_voice_name"
            raise ApiError(400, message, param=param, code=code) from None
