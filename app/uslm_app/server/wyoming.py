"""Speech by the Wyoming protocol, as Home Assistant asks for it; on a socket of its own.

client: describe                                  server: info, with the voices
        synthesize {text, voice}                          audio-start, audio-chunk ..., audio-stop
        synthesize-start {voice},                         the same while the text is written, and
          synthesize-chunk {text} ..., synthesize-stop    synthesize-stopped; or else error
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
from pydantic import ValidationError
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, async_read_event, async_write_event
from wyoming.info import Attribution, Describe, Info, TtsProgram, TtsVoice
from wyoming.ping import Ping, Pong
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

from uslm import __version__
from uslm.output.watermark import MarkedStream
from uslm.serving.listening import Listener
from uslm.serving.utterance import Cancelled, Utterance
from uslm.synthesis.live_text import LiveText
from uslm.synthesis.seeds import resolve_seed
from uslm.voices.stock import DEFAULT_STOCK_VOICE
from uslm_app.server.encoding import ByteEncoder
from uslm_app.server.errors import ApiError, invalid, to_api_error
from uslm_app.server.schemas import SpeechRequest
from uslm_app.server.service import Service
from uslm_app.server.speech import SpeechStream, check_request, speech_options, voice_of

LOG = logging.getLogger(__name__)
BYTES_PER_SAMPLE = 2
PROJECT = Attribution(name="USLM", url="")  # it has no page of its own yet


class WyomingServer:
    """Answers clients of the protocol in the event loop that starts it."""

    def __init__(self, service: Service, listening: socket.socket) -> None:
        """The socket listens already; it stays the caller's."""
        self._service, self._listening = service, listening
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None], _Conversation] = {}

    async def start(self) -> None:
        """Answer from now on."""
        limit = self._service.settings.max_json_bytes
        self._server = await asyncio.start_server(self._hold, sock=self._listening, limit=limit)

    async def stop(self) -> None:
        """Take no more clients; what is being spoken is finished, within the time for it."""
        if self._server is not None:
            self._server.close()
        speaking = [each.speaking for each in self._clients.values() if each.speaking is not None]
        if speaking:
            await asyncio.wait(speaking, timeout=self._service.settings.finish_seconds)
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        conversation = self._clients[task] = _Conversation(self._service, reader, writer)
        try:
            if len(self._clients) <= self._service.settings.max_connections:
                await conversation.hold()
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as reason:
            LOG.info("a Wyoming client has left, or does not read: %s", reason)
        except Exception:
            LOG.exception("a Wyoming client's conversation broke off")
        finally:
            del self._clients[task]
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


class _Conversation:
    """One client: events in while speech goes out."""

    def __init__(
        self, service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._service, self._writer = service, writer
        self._reader = _BoundedReader(reader, service.settings.max_json_bytes)
        self._live: LiveText | None = None  # the text that is being written, if one is
        self._num_chars = 0
        self._utterance: Utterance | None = None
        self.speaking: asyncio.Task[None] | None = None
        """What sends the speech, if there was any."""

    async def hold(self) -> None:
        """Until the client leaves."""
        try:
            while (event := await self._next()) is not None:
                await self._answer(event)
        finally:
            if self._utterance is not None:
                self._utterance.cancel()
            if self.speaking is not None:
                self.speaking.cancel()
                with suppress(asyncio.CancelledError):
                    await self.speaking

    async def _answer(self, event: Event) -> None:
        try:
            await self._handle(event)
        except Exception as problem:
            await self._tell(problem)

    async def _next(self) -> Event | None:
        try:
            return await async_read_event(self._reader)  # type: ignore[arg-type]
        except (AttributeError, KeyError, TypeError, RecursionError):
            return None  # JSON, but no event: nothing more can be read in step

    async def _handle(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await self._write(await self._info())
        elif Ping.is_type(event.type):
            await self._write(Pong(text=Ping.from_event(event).text).event())
        elif Synthesize.is_type(event.type):
            if self._live is None:  # within a text that is written it only repeats that
                whole = _parsed(Synthesize.from_event, event)
                await self._begin(whole.text, whole.voice)
        elif SynthesizeStart.is_type(event.type):
            await self._begin(LiveText(), _parsed(SynthesizeStart.from_event, event).voice)
        elif SynthesizeChunk.is_type(event.type):
            self._read(_parsed(SynthesizeChunk.from_event, event).text)
        elif SynthesizeStop.is_type(event.type) and self._live is not None:
            self._live.finish()
            self._live = None

    def _read(self, text: str) -> None:
        if self._live is None or not isinstance(text, str):
            return
        self._num_chars += len(text)
        most = self._service.settings.max_chars
        if self._num_chars > most:
            self._live = None
            assert self._utterance is not None
            self._utterance.cancel(
                ApiError(
                    400, f"the text must have at most {most:,} characters", code="text_too_long"
                )
            )
        elif text:
            self._live.push(text)

    async def _begin(self, text: str | LiveText, voice: SynthesizeVoice | None) -> None:
        """Let a text be spoken; whatever is still being spoken comes to its end before."""
        if self.speaking is not None:
            await self.speaking
        service, begin = self._service, time.perf_counter()
        wanted = _request(text if isinstance(text, str) else "", voice)
        check_request(wanted, service)
        prompt = await voice_of(wanted, service)
        self._utterance = service.engine.submit(
            text, prompt, seed=resolve_seed(None), **speech_options(wanted, service)
        )
        if isinstance(text, LiveText):
            self._live, self._num_chars = text, 0
        is_live = self._live is not None
        self.speaking = asyncio.create_task(self._speak(self._utterance, begin, is_live=is_live))

    async def _speak(self, utterance: Utterance, begin: float, *, is_live: bool) -> None:
        service, rate = self._service, self._service.engine.sample_rate
        encoder = ByteEncoder("pcm", rate, rate)
        marking = None if service.watermark is None else MarkedStream(service.watermark, rate)
        form = {"rate": rate, "width": BYTES_PER_SAMPLE, "channels": 1}
        listener = Listener(utterance)
        try:
            first = await listener.next()
            service.metrics.first_audio(time.perf_counter() - begin)
            parts = SpeechStream(utterance, listener, first, encoder, marking).parts()
            await self._write(AudioStart(**form).event())
            try:
                async for data in parts:
                    await self._write(AudioChunk(audio=data, **form).event())
            finally:
                await parts.aclose()
            await self._write(AudioStop().event())
            if is_live:
                await self._write(SynthesizeStopped().event())
        except (OSError, TimeoutError) as reason:
            LOG.info("a Wyoming client has left, or does not read: %s", reason)
            self._writer.close()
        except Exception as problem:
            await self._tell(problem)
        finally:
            utterance.cancel()
            encoder.abort()
            self._live = None

    async def _info(self) -> Event:
        settings = self._service.engine.settings
        languages = [each.partition("-")[0] for each in settings.languages or (settings.language,)]
        names = await anyio.to_thread.run_sync(self._service.voice_names)
        names.sort(key=lambda name: name != DEFAULT_STOCK_VOICE)  # what speaks if none is named
        about: dict[str, Any] = {"attribution": PROJECT, "installed": True, "version": __version__}
        voices = [
            TtsVoice(name=name, description=name, languages=languages, **about) for name in names
        ]
        program = TtsProgram(
            name="uslm", description=f"The model {self._service.model_name}", voices=voices,
            supports_synthesize_streaming=self._service.engine.reads_live_text, **about,
        )  # fmt: skip
        return Info(tts=[program]).event()

    async def _write(self, event: Event) -> None:
        with anyio.fail_after(self._service.settings.send_seconds):
            await async_write_event(event, self._writer)

    async def _tell(self, problem: Exception) -> None:
        if isinstance(problem, Cancelled):
            return
        known = to_api_error(problem)
        content = known.body()["error"]
        with suppress(OSError, TimeoutError):
            await self._write(Error(text=content["message"], code=content["code"]).event())


class _BoundedReader:
    """A reader that is not made to keep more of an event than the server allows."""

    def __init__(self, reader: asyncio.StreamReader, most: int) -> None:
        self._reader, self._most = reader, most

    async def readline(self) -> bytes:
        """A line of JSON; ValueError, which ends the conversation, if it is too long."""
        return await self._reader.readline()

    async def readexactly(self, count: int) -> bytes:
        """Bytes that come after the line, as it says."""
        if not isinstance(count, int) or count > self._most:
            raise ValueError(f"{count} bytes of one event are more than {self._most:,}")
        return await self._reader.readexactly(count)


def _parsed(parse: Callable[[Event], Any], event: Event) -> Any:
    """An event's contents. ApiError where it has not what it must have."""
    try:
        return parse(event)
    except (KeyError, TypeError, AttributeError, ValueError):
        shown = json.dumps(event.data)[:80]
        raise ApiError(
            400, f"{event.type}: {shown} is not what it must hold", code="bad_event"
        ) from None


def _request(text: str, voice: SynthesizeVoice | None) -> SpeechRequest:
    """A request as of the HTTP API, which refuses other languages than the model's."""
    named = None if voice is None else voice.name
    fields = {"model": "default", "input": text, "voice": named or DEFAULT_STOCK_VOICE}
    if voice is not None and voice.language:
        fields["lang_code"] = voice.language
    try:
        return SpeechRequest.model_validate(fields)
    except ValidationError as problem:
        raise invalid(problem.errors()) from None
