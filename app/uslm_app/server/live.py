"""`/v1/audio/speech/live`, a WebSocket: text in as it is written, speech out as it is made.

client: {"type": "start", "voice": "ada", ...}   fields as of /v1/audio/speech, but for input
        {"type": "text", "text": "Once upon "}   as often as there is something
        {"type": "end"}
server: {"type": "speech.started", "seed": 7, "sample_rate": 24000, "media_type": "audio/pcm"}
        binary messages: the sound
        {"type": "speech.segment", "index": 0, "text": "...", "start": 0.0, "end": 1.9}
        {"type": "speech.audio.done", "usage": {...}}, or {"type": "error", "error": {...}}
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from fastapi import APIRouter
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from uslm.output.speech import SegmentReport, rounded
from uslm.output.watermark import MarkedStream
from uslm.serving.listening import Listener
from uslm.serving.utterance import Utterance
from uslm.synthesis.live_text import LiveText
from uslm.synthesis.seeds import resolve_seed
from uslm_app.server.encoding import ByteEncoder
from uslm_app.server.errors import ApiError, invalid
from uslm_app.server.schemas import SpeechRequest
from uslm_app.server.service import Service
from uslm_app.server.sockets import answer, json_object, receive, send
from uslm_app.server.speech import SpeechStream, check_request, speech_options, voice_of

PATH = "/v1/audio/speech/live"
DEFAULTS = {"model": "default", "response_format": "pcm"}


def live_router(service: Service) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["speech"])

    @router.websocket(PATH)
    async def speak_live(socket: WebSocket) -> None:
        await answer(socket, _Conversation(service, socket).hold())

    return router


class _Conversation:
    """One client: its text is read while its speech is sent."""

    def __init__(self, service: Service, socket: WebSocket) -> None:
        self._service, self._socket = service, socket
        self._live_text, self._num_chars = LiveText(), 0

    async def hold(self) -> None:
        """Until the text is spoken. Raises what went wrong."""
        service, begin = self._service, time.perf_counter()
        with anyio.fail_after(service.settings.header_seconds):
            wanted = _started(await self._message())
        check_request(wanted, service)
        voice = await voice_of(wanted, service)
        seed = resolve_seed(wanted.seed)
        utterance = service.engine.submit(
            self._live_text, voice, seed=seed, **speech_options(wanted, service)
        )
        rate = service.engine.sample_rate
        encoder = ByteEncoder(wanted.response_format, rate, wanted.sample_rate)
        marking = None if service.watermark is None else MarkedStream(service.watermark, rate)
        try:
            await self._send({
                "type": "speech.started", "seed": seed, "sample_rate": encoder.sample_rate,
                "media_type": encoder.media_type, "model": service.model_name,
            })  # fmt: skip
            listener = Listener(utterance)
            async with self._reading(utterance):
                first = await listener.next()
                service.metrics.first_audio(time.perf_counter() - begin)
                await self._speak(SpeechStream(utterance, listener, first, encoder, marking))
        finally:
            utterance.cancel()
            encoder.abort()

    async def _speak(self, stream: SpeechStream) -> None:
        parts = stream.parts()
        try:
            async for data in parts:
                with anyio.fail_after(self._service.settings.send_seconds):
                    await self._socket.send_bytes(data)
                await self._report(stream)
            await self._report(stream)
        finally:
            await parts.aclose()
        chars, units = self._num_chars, stream.num_units
        usage = {"input_tokens": chars, "output_tokens": units, "total_tokens": chars + units}
        await self._send({"type": "speech.audio.done", "usage": usage})

    async def _report(self, stream: SpeechStream) -> None:
        for report in stream.take_reports():
            await self._send(_segment(report))

    @asynccontextmanager
    async def _reading(self, utterance: Utterance) -> AsyncIterator[None]:
        """Text comes in meanwhile. What is wrong with it comes out of the utterance, as the reason
        why that was cancelled; so does that the client has left."""

        async def read() -> None:
            try:
                while self._read(await self._message()):
                    pass
                while True:  # nothing more is wanted of it, but that it may leave
                    await self._socket.receive()
            except (WebSocketDisconnect, RuntimeError):
                utterance.cancel()
            except ApiError as problem:
                utterance.cancel(problem)

        reader = asyncio.create_task(read())
        try:
            yield
        finally:
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader

    def _read(self, message: Mapping[str, Any]) -> bool:
        """Take a message; whether more text may come."""
        kind, text = message.get("type"), message.get("text")
        if kind == "end" and len(message) == 1:
            self._live_text.finish()
            return False
        if kind != "text" or not isinstance(text, str) or len(message) != 2:
            raise ApiError(
                400, 'a message must be {"type": "text", "text": "..."} or {"type": "end"}, but is '
                f"{json.dumps(message)[:80]}", code="bad_message",
            )  # fmt: skip
        self._num_chars += len(text)
        most = self._service.settings.max_chars
        if self._num_chars > most:
            raise ApiError(
                400, f"the text must have at most {most:,} characters", param="text",
                code="text_too_long",
            )  # fmt: skip
        if text:
            self._live_text.push(text)
        return True

    async def _message(self) -> Mapping[str, Any]:
        """The next JSON object that the client sends."""
        found = json_object(await receive(self._socket))
        if found is None:
            raise ApiError(400, "a message must be a JSON object, as text", code="bad_message")
        return found

    async def _send(self, content: Mapping[str, Any]) -> None:
        await send(self._socket, content, self._service.settings.send_seconds)


def _started(message: Mapping[str, Any]) -> SpeechRequest:
    """The first message as a request. ApiError if it is none."""
    fields = {name: value for name, value in message.items() if name != "type"}
    if message.get("type") != "start" or "input" in fields or "stream_format" in fields:
        raise ApiError(
            400, 'the first message must be {"type": "start", "voice": ..., ...}, without input '
            "or stream_format", code="bad_message",
        )  # fmt: skip
    try:
        return SpeechRequest.model_validate({**DEFAULTS, **fields, "input": ""})
    except ValidationError as problem:
        raise invalid(problem.errors()) from None


def _segment(report: SegmentReport) -> dict[str, Any]:
    times = {"start": report.start_seconds, "end": report.end_seconds}
    return {"type": "speech.segment", "index": report.index, "text": report.text, **rounded(times)}
