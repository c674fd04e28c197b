"""Bodies of requests: whole, not too large, not too slowly, no more than there is room for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from starlette.types import Receive, Scope

from uslm_app.server.errors import ApiError
from uslm_app.server.settings import ServeSettings

HELD_UPLOADS = 8
"""Room in memory for so many of the largest uploads."""

HEARD_SECONDS = 0.2


class Bodies:
    """Reads the bodies of requests, many at a time.

    Nobody waits for a place: room is taken by what has come, not by who is there. When there is
    none left, the client goes that has been sending for the longest.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._room = HELD_UPLOADS * settings.max_upload_bytes
        self._reading: dict[anyio.CancelScope, bytearray] = {}  # the longest first

    @asynccontextmanager
    async def whole(self, scope: Scope, receive: Receive, limit: int) -> AsyncIterator[bytes]:
        """The body, kept until the block ends. Raises ApiError where none comes."""
        too_large = ApiError(
            413, f"the request must have at most {limit:,} bytes", code="request_too_large"
        )
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > limit:
            raise too_large
        body = bytearray()
        try:
            await self._read(receive, body, too_large, limit)
            yield bytes(body)
        finally:
            self._room += len(body)

    async def _read(
        self, receive: Receive, body: bytearray, too_large: ApiError, limit: int
    ) -> None:
        is_whole, seconds = False, self._settings.body_seconds
        try:
            with anyio.fail_after(seconds) as deadline_scope:
                self._reading[deadline_scope] = body
                try:
                    while not is_whole:
                        message = await receive()
                        if message["type"] == "http.disconnect":
                            raise ApiError(499, "the client has left", code="cancelled")
                        part = message.get("body", b"")
                        if len(body) + len(part) > limit:
                            raise too_large
                        body += part
                        self._take_room(len(part))
                        is_whole = not message.get("more_body", False)
                finally:
                    del self._reading[deadline_scope]
        except TimeoutError:
            raise ApiError(
                408, f"the request took too long to arrive, at most {seconds:g} s", code="too_slow"
            ) from None

    def _take_room(self, size: int) -> None:
        self._room -= size
        missing = -self._room
        for deadline_scope, body in self._reading.items():
            if missing <= 0:
                return
            deadline_scope.deadline = anyio.current_time()  # as if its time were over
            missing -= len(body)  # which comes back only when it is told so


async def hear_out(receive: Receive) -> None:
    """Read what a refused client has sent with its headers: a connection that is closed before
    that loses the answer."""
    with anyio.move_on_after(HEARD_SECONDS):
        while (await receive()).get("more_body", False):
            pass
