"""WebSockets: how one is answered to its end, and messages that are waited for no longer than
allowed."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Any

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect

from uslm.serving.utterance import Cancelled
from uslm_app.server.errors import to_api_error

LOG = logging.getLogger(__name__)
NORMAL, POLICY, INTERNAL = 1000, 1008, 1011
"""Codes of RFC 6455 with which it is closed: done, the client's mistake, ours."""


async def answer(socket: WebSocket, conversation: Awaitable[None]) -> None:
    """Let the client in, hold the conversation, and close; what went wrong the client is told."""
    await socket.accept()
    try:
        await conversation
    except (WebSocketDisconnect, Cancelled, TimeoutError) as reason:
        LOG.info("a client has left, or does not read: %s", reason)
        await _close(socket, POLICY)
    except Exception as error:
        problem = to_api_error(error)
        with suppress(WebSocketDisconnect, RuntimeError):  # it has left
            await socket.send_text(json.dumps({"type": "error", **problem.body()}))
        await _close(socket, POLICY if problem.status_code < 500 else INTERNAL)
    else:
        await _close(socket, NORMAL)


async def receive(socket: WebSocket) -> Mapping[str, Any]:
    """The next message. Raises WebSocketDisconnect once the client has left."""
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", NORMAL))
    return message


def json_object(message: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON object of a message; None where it is something else."""
    try:
        found = json.loads(message.get("text") or "")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


async def send(socket: WebSocket, content: Mapping[str, Any], seconds: float) -> None:
    """Send a JSON object. TimeoutError to a client that does not read for so long."""
    with anyio.fail_after(seconds):
        await socket.send_text(json.dumps(content))


async def _close(socket: WebSocket, code: int) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        await socket.close(code)
