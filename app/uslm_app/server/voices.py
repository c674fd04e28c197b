"""`/v1/audio/voices`: the voices that are kept here, by name only."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Query, Request

from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm_app.server.errors import ApiError
from uslm_app.server.forms import Part, read_form
from uslm_app.server.schemas import ErrorBody, NamedVoice, Voice, VoiceDeleted, VoiceList
from uslm_app.server.service import Service
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.errors import AlreadyThere, MissingResource, UserError

LOG = logging.getLogger(__name__)
FILE = "audio_sample"
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
        """The kept voices, by name, those after `after`; in `voices` all that can be asked for."""
        names = await run_sync(service.voices.names)
        rest = [name for name in names if after is None or name > after]
        shown = await run_sync(lambda: [_kept(service, name) for name in rest[:limit]])
        data = [voice for voice in shown if voice is not None]
        ids = [voice.id for voice in data]
        first, last = (ids[0], ids[-1]) if ids else (None, None)
        more = len(rest) > limit
        every = [NamedVoice(id=name, name=name) for name in await run_sync(service.voice_names)]
        return VoiceList(data=data, first_id=first, last_id=last, has_more=more, voices=every)

    @router.get("/{name}")
    async def show_voice(name: Name) -> Voice:
        """One voice, kept or stock."""
        voice = await service.find_voice(name, status=404)
        return await run_sync(_describe, service, voice)

    @router.post("", openapi_extra=FORM)
    async def create_voice(request: Request) -> Voice:
        """Make a voice out of a recording, and keep it under its name."""
        _check_may_change(service)
        parts = read_form(await request.body(), request.headers.get("content-type", ""))
        fields, recording = _sort(parts)
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
        if await run_sync(service.is_stock, name):
            raise ApiError(403, f"the voice {name!r} comes with the server", code="read_only")
        if not await run_sync(lambda: name in service.voices.names()):
            service.load_voice(name, status=404)  # says what is wrong with the name
        await run_sync(lambda: _remove(service, name))
        return VoiceDeleted(id=name)

    return router


def _sort(parts: list[Part]) -> tuple[dict[str, str], bytes]:
    """The fields, and the recording. Raises ApiError for anything else, or if one is missing."""
    fields: dict[str, str] = {}
    recording = b""
    for part in parts:
        if part.name in fields or (part.name == FILE and recording):
            raise _bad(part.name, "it is given twice")
        if part.is_file != (part.name == FILE):
            raise _bad(part.name, "the recording, and nothing else, is a file")
        if part.is_file:
            recording = bytes(part.content)
            continue
        if part.name not in FIELDS:
            raise _bad(part.name, f"there is no such field; there are {', '.join(FIELDS)}")
        fields[part.name] = text = part.text()
        if len(text) > MAX_FIELD_CHARS or "\0" in text:
            raise _bad(part.name, f"it must be text of at most {MAX_FIELD_CHARS:,} characters")
    if not fields.get("name"):
        raise _bad("name", "it is missing")
    if fields.get("type", FILE) != FILE:
        raise _bad("type", f"voices are made of recordings only: {FILE!r}")
    if not recording:
        raise _bad(FILE, "it is missing, or empty")
    return fields, recording


def _bad(name: str, message: str) -> ApiError:
    return ApiError(400, f"{name!r}: {message}", param=name, code="bad_field")


def _check_may_change(service: Service) -> None:
    if not service.settings.change_voices:
        raise ApiError(403, "the voices of this server cannot be changed", code="read_only")


def _check_room(service: Service, name: str, force: bool) -> None:
    """Raise ApiError if a voice of this name could not be kept, before it is made."""
    names = service.voices.names()
    if name in names and not force:
        raise _taken(name)
    if len(names) >= service.settings.max_voices and name not in names:
        raise ApiError(507, f"{len(names)} voices are kept; delete one", code="too_many_voices")
    service.voices.path(name)  # UserError: it is no name


def _keep(service: Service, voice: VoicePrompt, force: bool) -> None:
    try:
        service.voices.save(voice, force=force)
    except AlreadyThere:  # somebody else was quicker
        raise _taken(voice.name) from None
    except UserError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        LOG.error("%s", error)  # it holds a path
        raise ApiError(507, "the voice could not be kept", code="not_kept") from error


def _taken(name: str) -> ApiError:
    return ApiError(
        409, f"there is a voice {name!r} already; force=true replaces it",
        param="name", code="voice_exists",
    )  # fmt: skip


def _remove(service: Service, name: str) -> None:
    try:
        service.voices.remove(name)
    except MissingResource:  # somebody else was quicker
        raise ApiError(404, f"there is no voice {name!r}", code="voice_not_found") from None
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
