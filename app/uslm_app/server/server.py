"""Uvicorn around the application: a socket, and an orderly end."""

from __future__ import annotations

import asyncio
import math
import socket
from types import FrameType
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp

from uslm.serving.protocol import SpeechEngine
from uslm_app.server.protocol import protocol_with
from uslm_app.server.settings import ServeSettings
from uslm_tokenizer.errors import EnvironmentProblem

KEEP_ALIVE_SECONDS = 5
MAX_HEADER_BYTES = 16 * 2**10


class Beside(Protocol):
    """A server of another protocol, in the same event loop."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Server(uvicorn.Server):
    """Refuses new requests from the signal on, and finishes those that are there."""

    def __init__(
        self,
        app: ASGIApp,
        engine: SpeechEngine,
        settings: ServeSettings,
        beside: Beside | None = None,
    ) -> None:
        """`beside` is a server of another protocol, started and stopped with this one."""
        self._engine, self._settings, self._beside = engine, settings, beside
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol_with(settings.header_seconds, settings.max_connections),
                ws="websockets-sansio",
                ws_max_size=settings.max_json_bytes,
                ws_per_message_deflate=False,
                loop="asyncio",  # whatever else is installed, the one that is tested
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=math.ceil(settings.finish_seconds),
                limit_concurrency=settings.max_connections,
                backlog=settings.max_connections,
                h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGINT or SIGTERM; a second SIGINT ends it at once."""
        self._engine.refuse()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does it, and the other server with it."""
        await super().startup(sockets)
        if self._beside is not None:
            await self._beside.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does it; then whoever is still there is cut off."""
        try:
            others = [self._beside.stop()] if self._beside is not None else []
            await asyncio.gather(super().shutdown(sockets), *others)
        finally:
            # A connection closes once its client has read what was sent; one that does not read
            # would stay open for longer than the loop that holds it.
            while connections := list(self.server_state.connections):
                for connection in connections:
                    connection.transport.abort()
                await asyncio.sleep(0)  # an aborted connection is lost in the loop's next round

    def serve_on(self, listening: socket.socket) -> None:
        """Answer until somebody ends it; then close the engine."""
        try:
            self.run(sockets=[listening])
        finally:
            # Whoever was answered has been answered; nobody listens any more.
            self._engine.close()


def open_socket(host: str, port: int, backlog: int) -> socket.socket:
    """A socket that listens. Raises EnvironmentProblem where it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(backlog)
    except OSError as error:
        listening.close()
        raise EnvironmentProblem(
            f"cannot listen at {host}, port {port}: {error.strerror or error}"
        ) from error
    return listening
