"""`/v1/conversation`, a WebSocket: a conversation in full duplex, with Moshi.

client: {"type": "start", "seed": 7, "channels": 1}
        binary messages: what the microphone records, 16-bit samples, of any length
        {"type": "end"}
server: {"type": "conversation.started", "seed": 7, "sample_rate": 24000, "frame_samples": 1920}
        {"type": "conversation.text", "frame": 0, "token": 3}   of every frame that was heard
        binary messages: what it says meanwhile, a frame each; none for the first
        {"type": "conversation.done", "frames": 125}, or {"type": "error", "error": {...}}

With two channels the second, interleaved, is played into the conversation in place of what the
model would say, and it only writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
from fastapi import APIRouter
from starlette.websockets import WebSocket

from uslm.synthesis.seeds import resolve_seed
from uslm_app.server.conversations import BYTES_PER_SAMPLE, Conversation, Conversations
from uslm_app.server.errors import ApiError
from uslm_app.server.service import Service
from uslm_app.server.sockets import answer, json_object, receive, send

PATH = "/v1/conversation"
MAX_SEED = 2**63 - 1


def conversation_router(service: Service, conversations: Conversations) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["conversation"])

    @router.websocket(PATH)
    async def converse(socket: WebSocket) -> None:
        await answer(socket, _hold(socket, service, conversations))

    return router


async def _hold(socket: WebSocket, service: Service, conversations: Conversations) -> None:
    """Until the client ends it, leaves, or sends nothing. Raises what went wrong."""
    idle = service.settings.idle_seconds
    seed, num_channels = _started(await _receive(socket, idle))
    with conversations.hold(seed, num_channels) as conversation:
        codec = conversations.codec
        await send(socket, {
            "type": "conversation.started", "seed": seed, "sample_rate": codec.sample_rate,
            "frame_samples": codec.hop_length,
        }, service.settings.send_seconds)  # fmt: skip
        while True:
            message = await _receive(socket, idle)
            data = message.get("bytes")
            if data is None:
                break
            if len(data) % (BYTES_PER_SAMPLE * num_channels):
                raise ApiError(
                    400, f"samples must come whole, {BYTES_PER_SAMPLE * num_channels} bytes for "
                    f"each moment, but {len(data)} bytes came", code="bad_sound",
                )  # fmt: skip
            conversation.take(data)
            await _answer(socket, service, conversation)
        if json_object(message) != {"type": "end"}:
            raise ApiError(
                400, 'a message must be samples or {"type": "end"}, but is '
                f"{(message.get('text') or '')[:80]}", code="bad_message",
            )  # fmt: skip
        done = {"type": "conversation.done", "frames": conversation.num_frames}
        await send(socket, done, service.settings.send_seconds)


async def _answer(socket: WebSocket, service: Service, conversation: Conversation) -> None:
    """All frames that can be made of what was taken."""
    while (made := await conversation.next()) is not None:
        token, sound = made
        frame = conversation.num_frames - 1
        text = {"type": "conversation.text", "frame": frame, "token": token}
        await send(socket, text, service.settings.send_seconds)
        if sound:
            with anyio.fail_after(service.settings.send_seconds):
                await socket.send_bytes(sound)


def _started(message: Mapping[str, Any]) -> tuple[int, int]:
    """Seed and channels of the first message. ApiError if it is none."""
    found = json_object(message)
    if found is None or found.get("type") != "start" or set(found) - {"type", "seed", "channels"}:
        raise ApiError(
            400, 'the first message must be {"type": "start"}, with seed and channels if wanted',
            code="bad_message",
        )  # fmt: skip
    seed, channels = found.get("seed"), found.get("channels", 1)
    whole = isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed <= MAX_SEED
    if seed is not None and not whole:
        raise ApiError(400, f"seed must be a whole number from 0 to {MAX_SEED}", param="seed")
    if channels not in (1, 2) or isinstance(channels, bool):
        raise ApiError(400, "channels must be 1 or 2", param="channels")
    return resolve_seed(seed), int(channels)


async def _receive(socket: WebSocket, seconds: float) -> Mapping[str, Any]:
    """The next message. ApiError where none comes for so long."""
    try:
        with anyio.fail_after(seconds):
            return await receive(socket)
    except TimeoutError:
        raise ApiError(408, f"nothing came for {seconds:g} s", code="idle") from None
