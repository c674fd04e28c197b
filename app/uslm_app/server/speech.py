"""`/v1/audio/speech`: a text in, its speech out as it is made."""

from __future__ import annotations

import base64
import json
import logging
import re
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

import anyio
import torch
from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from jaxtyping import Float
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from torch import Tensor

from uslm.output.speech import AudioChunk, SegmentReport, rounded
from uslm.output.watermark import MarkedStream
from uslm.serving.listening import Listener
from uslm.serving.utterance import Cancelled, Utterance
from uslm.synthesis.seeds import resolve_seed
from uslm.text.language import primary_language
from uslm.voices.prompt import VoicePrompt
from uslm_app.server.encoding import MEDIA_TYPES, ByteEncoder, check_format
from uslm_app.server.errors import ApiError, to_api_error
from uslm_app.server.listening import cancelled_with
from uslm_app.server.schemas import ErrorBody, SpeechRequest
from uslm_app.server.service import Service

LOG = logging.getLogger(__name__)
SSE = "text/event-stream"
FIELD_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def speech_router(service: Service) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["speech"])
    binary = {"schema": {"type": "string", "format": "binary"}}
    content = {media_type: binary for media_type in sorted(set(MEDIA_TYPES.values()))}

    @router.post(
        "/v1/audio/speech",
        response_class=Response,
        responses={
            200: {
                "description": "The speech, as it is made; with stream_format sse in events",
                "content": {**content, SSE: {"schema": {"type": "string"}}},
            },
            "4XX": {"model": ErrorBody},
            "5XX": {"model": ErrorBody},
        },
    )
    async def speak(wanted: SpeechRequest, request: Request) -> Response:
        """Speak a text with a voice of this server."""
        begin = time.perf_counter()
        check_request(wanted, service)
        voice = await voice_of(wanted, service)
        seed = resolve_seed(wanted.seed)
        utterance = service.engine.submit(
            wanted.input, voice, seed=seed, **speech_options(wanted, service)
        )
        listener = Listener(utterance)
        # No answer yet: what is wrong with the request comes out before the first samples.
        try:
            async with cancelled_with(request.receive, utterance):
                first = await listener.next()
        except BaseException:
            utterance.cancel()
            raise
        encoder = ByteEncoder(
            wanted.response_format, service.engine.sample_rate, wanted.sample_rate
        )
        service.metrics.first_audio(time.perf_counter() - begin)
        headers = {
            "X-Uslm-Seed": str(seed),
            "X-Uslm-Sample-Rate": str(encoder.sample_rate),
            "X-Uslm-Model": service.model_name,
            **_ignored(wanted),
        }
        marking = None
        if service.watermark is not None:
            marking = MarkedStream(service.watermark, service.engine.sample_rate)
            headers["X-Uslm-Watermark"] = service.watermark.name
        num_chars = len(wanted.input)
        stream = SpeechStream(utterance, listener, first, encoder, marking, num_chars=num_chars)
        send_seconds = service.settings.send_seconds
        return StreamedSpeech(stream, wanted.stream_format == "sse", headers, send_seconds)

    return router


async def voice_of(wanted: SpeechRequest, service: Service) -> VoicePrompt:
    """The voice that is asked for. ApiError if there is none."""
    name = wanted.voice if isinstance(wanted.voice, str) else wanted.voice.id
    return await service.find_voice(name, status=400, param="voice")


def check_request(wanted: SpeechRequest, service: Service) -> None:
    """Raise ApiError for what OpenAI has and we do not."""
    service.check_model(wanted.model)
    check_format(wanted.response_format)
    if wanted.unknown_fields and service.settings.strict:
        name = wanted.unknown_fields[0][:64]
        raise ApiError(
            400, f"{name}: there is no such field, and this server is strict",
            param=name, code="unknown_field",
        )  # fmt: skip
    _check_language(wanted.lang_code, service)
    if wanted.words and wanted.stream_format != "sse":
        raise ApiError(
            400, "words needs stream_format sse: an audio stream has no place for them",
            param="words", code="unsupported_parameter",
        )  # fmt: skip
    if wanted.instructions:
        raise ApiError(
            400, "instructions are not supported: the voice alone says how it is spoken",
            param="instructions", code="unsupported_parameter",
        )  # fmt: skip
    most = service.settings.max_chars
    if len(wanted.input) > most:
        raise ApiError(
            400, f"input must have at most {most:,} characters, but has {len(wanted.input):,}",
            param="input", code="text_too_long",
        )  # fmt: skip


def _check_language(code: str | None, service: Service) -> None:
    """Raise ApiError if it is none that the model speaks; Kokoro's are single letters."""
    if code is None:
        return
    settings = service.engine.settings
    known = settings.languages or (settings.language,)
    tag = {"a": "en-us", "b": "en-gb"}.get(code.lower(), code)
    if primary_language(tag) not in map(primary_language, known):
        raise ApiError(
            400, f"lang_code must be of {', '.join(known)}, which this model speaks",
            param="lang_code", code="unsupported_language",
        )  # fmt: skip


def _ignored(wanted: SpeechRequest) -> dict[str, str]:
    """The header that names what was sent and has no effect here."""
    names = [name for name in wanted.unknown_fields if FIELD_NAME.fullmatch(name)]
    return {"X-Uslm-Ignored": ", ".join(names[:16])} if names else {}


def speech_options(wanted: SpeechRequest, service: Service) -> dict[str, Any]:
    """The options of `ZeroShotTTS.stream`."""
    names = ("temperature", "top_k", "top_p", "retries", "speed")
    # Whoever asks for retries wants to know whether they are needed.
    verify = wanted.verify or wanted.retries is not None
    any_language = wanted.any_language or service.settings.any_language
    return {
        "verify": verify,
        "any_language": any_language,
        "words": wanted.words,
        **{name: getattr(wanted, name) for name in names},
    }


class SpeechStream:
    """The chunks of an utterance as bytes."""

    def __init__(
        self,
        utterance: Utterance,
        listener: Listener,
        first: AudioChunk | None,
        encoder: ByteEncoder,
        marking: MarkedStream | None,
        *,
        num_chars: int = 0,
    ) -> None:
        """`first` is the first chunk, which somebody has waited for already."""
        self.utterance, self.encoder = utterance, encoder
        self.num_chars = num_chars
        """Characters of the text, where all of it is known."""
        self.num_units = 0
        """Units that were drawn for the text."""
        self._reports: list[SegmentReport] = []
        self._listener, self._first, self._marking = listener, first, marking

    def take_reports(self) -> list[SegmentReport]:
        """Reports on segments that were done since this was asked before."""
        reports, self._reports = self._reports, []
        return reports

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """Bytes, as they are made; raises what went wrong."""
        chunk = self._first
        while chunk is not None:
            if chunk.codes is not None:
                self.num_units += chunk.codes.shape[1]
            if chunk.report is not None:
                self._reports.append(chunk.report)
            if data := await run_sync(self._push, chunk.waveform):
                yield data
            chunk = await self._listener.next()
        if data := await run_sync(self._finish):
            yield data

    def _push(self, waveform: Float[Tensor, "1 n"]) -> bytes:
        """Bytes that can be sent by now; with a watermark it comes a second and a bit later."""
        if self._marking is not None:
            waveform = self._marking.push(waveform, is_final=False)
        return self.encoder.push(waveform)

    def _finish(self) -> bytes:
        """Bytes that are left."""
        if self._marking is None:
            return self.encoder.finish()
        rest = self._marking.push(torch.zeros(1, 0), is_final=True)
        return self.encoder.push(rest) + self.encoder.finish()


class StreamedSpeech(Response):
    """An answer that goes on while the speech is made, and ends when nobody reads it."""

    def __init__(
        self, stream: SpeechStream, as_events: bool, headers: Mapping[str, str], send_seconds: float
    ) -> None:
        media_type = SSE if as_events else stream.encoder.media_type
        super().__init__(headers=headers, media_type=media_type)
        del self.headers["content-length"]
        self._stream, self._as_events, self._send_seconds = stream, as_events, send_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        utterance = self._stream.utterance
        parts = self._events() if self._as_events else self._stream.parts()
        try:
            async with cancelled_with(receive, utterance):
                start = {"status": self.status_code, "headers": self.raw_headers}
                await send({"type": "http.response.start", **start})
                async for data in parts:
                    with anyio.fail_after(self._send_seconds):
                        await send({"type": "http.response.body", "body": data, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        # The status is sent: all that is left is to cut the answer off, which uvicorn does.
        except (Cancelled, TimeoutError) as reason:
            LOG.info("a client has left, or does not read: %s", reason)
        except Exception as error:
            LOG.warning("a stream broke off: %s", to_api_error(error).detail)
        finally:
            utterance.cancel()
            await parts.aclose()
            self._stream.encoder.abort()

    async def _events(self) -> AsyncGenerator[bytes, None]:
        """The bytes as OpenAI's server-sent events."""
        try:
            async for data in self._stream.parts():
                audio = base64.b64encode(data).decode()
                yield _event({"type": "speech.audio.delta", "audio": audio})
                for event in self._words():
                    yield event
            for event in self._words():
                yield event
        except Cancelled:
            raise
        except Exception as error:
            yield _event({"type": "error", **to_api_error(error).body()})
            return
        chars, units = self._stream.num_chars, self._stream.num_units
        usage = {"input_tokens": chars, "output_tokens": units, "total_tokens": chars + units}
        yield _event({"type": "speech.audio.done", "usage": usage})

    def _words(self) -> Iterator[bytes]:
        """Events of ours: when the words of each segment are said, seconds from the beginning."""
        for report in self._stream.take_reports():
            if report.words:
                words = [
                    {"text": each.text, "start": each.start_seconds, "end": each.end_seconds}
                    for each in report.words
                ]
                event = {"type": "speech.words", "segment": report.index, "words": rounded(words)}
                yield _event(event)


def _event(content: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(content)}\n\n".encode()
