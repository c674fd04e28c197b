"""`/v1/audio/voices`: the voices that are kept here, by name only."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Query, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from uslm.pipeline.prompt import VoicePrompt
from uslm.pipeline.tts import ZeroShotTTS
from uslm_app.serve.errors import ApiError
from uslm_app.serve.schemas import ErrorBody, Voice, VoiceDeleted, VoiceList
from uslm_app.serve.service import Service
from uslm_tokenizer.audio import read_audio

MAX_FIELD_CHARS = 4_000
FIELDS = ("name", "text", "consent", "licence", "type", "force")
FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["name", "audio_sample"],
                    "properties": {
                        "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
                        "audio_sample": {
                            "type": "string",
                            "format": "binary",
                            "description": "A recording of some seconds: wav, flac, ogg, mp3",
                        },
                        "text": {"type": "string", "description": "What is said in it"},
                        "consent": {"type": "string", "description": "Who agreed, and to what"},
                        "licence": {"type": "string"},
                        "type": {"type": "string", "enum": ["audio_sample"]},
                        "force": {"type": "string", "enum": ["true", "false"]},
                    },
                }
            }
        },
    }
}

Name = Annotated[str, Path(max_length=64)]


def voices_router(service: Service) -> APIRouter:
    """The routes."""
    problems: dict[int | str, dict[str, Any]] = {"4XX": {"model": ErrorBody}}
    router = APIRouter(prefix="/v1/audio/voices", tags=["voices"], responses=problems)

    @router.get("")
    async def list_voices(
        after: Annotated[str | None, Query(max_length=64)] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 100,
    ) -> VoiceList:
        """The voices, by name; those behind `after`."""
        names = await run_sync(service.voices.names)
        rest = [name for name in names if after is None or name > after]
        shown = await run_sync(lambda: [_kept(service, name) for name in rest[:limit]])
        data = [voice for voice in shown if voice is not None]
        ids = [voice.id for voice in data]
        first, last = (ids[0], ids[-1]) if ids else (None, None)
        more = len(rest) > limit
        return VoiceList(data=data, first_id=first, last_id=last, has_more=more)

    @router.get("/{name}")
    async def show_voice(name: Name) -> Voice:
        """One voice."""
        return await run_sync(lambda: _describe(service, service.load_voice(name, status=404)))

    @router.post("", openapi_extra=FORM)
    async def create_voice(request: Request) -> Voice:
        """Make a voice out of a recording, and keep it under its name."""
        _check_may_change(service)
        fields, recording = await _read_form(request)
        name, force = fields["name"], fields.get("force") == "true"
        await run_sync(_check_room, service, name, force)

        def listen(tts: ZeroShotTTS) -> VoicePrompt:
            return tts.create_voice(audio, fields.get("text") or None, name=name)

        seconds = service.settings.max_recording_seconds
        audio = await run_sync(lambda: read_audio(recording, max_seconds=seconds))
        voice = await asyncio.wrap_future(service.engine.call(listen))
        voice = replace(voice, consent=fields.get("consent"), licence=fields.get("licence"))
        await run_sync(_keep, service, voice, force)
        return _describe(service, voice)

    @router.delete("/{name}")
    async def delete_voice(name: Name) -> VoiceDeleted:
        """Forget a voice."""
        _check_may_change(service)
        if not await run_sync(lambda: name in service.voices.names()):
            service.load_voice(name, status=404)  # says what is wrong with the name
        await run_sync(lambda: _remove(service, name))
        return VoiceDeleted(id=name)

    return router


async def _read_form(request: Request) -> tuple[dict[str, str], bytes]:
    """The fields, and the recording; the body is in memory already, and stays there."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise ApiError(415, "a voice is uploaded as multipart/form-data", code="not_multipart")
    parser = MultiPartParser(
        request.headers, request.stream(), max_files=1, max_fields=len(FIELDS),
        max_part_size=4 * MAX_FIELD_CHARS,
    )  # fmt: skip
    parser.spool_max_size = 0  # 0: never to a file
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as problem:  # no boundary, a bad charset
        reason = problem.message if isinstance(problem, MultiPartException) else "it is malformed"
        raise ApiError(400, f"the form cannot be read: {reason}", code="bad_form") from None
    fields: dict[str, str] = {}
    recording: bytes | None = None
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name != "audio_sample":
                raise _bad(name, "there is no such file; it is called 'audio_sample'")
            recording = await value.read()
        elif name not in FIELDS:
            raise _bad(name, f"there is no such field; there are {', '.join(FIELDS)}")
        elif name in fields:
            raise _bad(name, "it is given twice")
        elif len(value) > MAX_FIELD_CHARS or "\0" in value:
            raise _bad(name, f"it must be text of at most {MAX_FIELD_CHARS:,} characters")
        else:
            fields[name] = value
    if not fields.get("name"):
        raise _bad("name", "it is missing")
    if fields.get("type", "audio_sample") != "audio_sample":
        raise _bad("type", "voices are made of recordings only: 'audio_sample'")
    if not recording:
        raise _bad("audio_sample", "it is missing, or empty")
    return fields, recording


def _bad(name: str, message: str) -> ApiError:
    return ApiError(400, f"{name[:64]!r}: {message}", param=name[:64], code="bad_field")


def _check_may_change(service: Service) -> None:
    if not service.settings.change_voices:
        raise ApiError(403, "the voices of this server cannot be changed", code="read_only")


def _check_room(service: Service, name: str, force: bool) -> None:
    """Raise ApiError if a voice of this name could not be kept, before it is made."""
    names = service.voices.names()
    if name in names and not force:
        raise ApiError(
            409, f"there is a voice {name!r} already; force=true replaces it",
            param="name", code="voice_exists",
        )  # fmt: skip
    if len(names) >= service.settings.max_voices and name not in names:
        raise ApiError(507, f"{len(names)} voices are kept; delete one", code="too_many_voices")
    service.voices.path(name)  # UserError: it is no name


def _keep(service: Service, voice: VoicePrompt, force: bool) -> None:
    try:
        service.voices.save(voice, force=force)
    except OSError as error:
        raise ApiError(507, "the voice could not be kept", code="not_kept") from error


def _remove(service: Service, name: str) -> None:
    try:
        service.voices.remove(name)
    except OSError as error:
        raise ApiError(507, "the voice could not be deleted", code="not_deleted") from error


def _kept(service: Service, name: str) -> Voice | None:
    """A voice to be listed; None if it cannot be read, or is gone by now."""
    try:
        return _describe(service, service.load_voice(name, status=404))
    except ApiError:
        return None


def _describe(service: Service, voice: VoicePrompt) -> Voice:
    try:
        created = int(service.voices.path(voice.name).stat().st_mtime)
    except OSError:
        created = 0
    return Voice(
        id=voice.name,
        name=voice.name,
        created_at=created,
        seconds=round(voice.seconds, 3),
        transcript=voice.transcript,
        licence=voice.licence,
        consent=voice.consent,
        findings=[finding.message for finding in voice.findings],
    )
