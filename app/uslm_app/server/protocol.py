"""HTTP on a connection whose client may not take for ever to say what it wants."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


def protocol_with(header_seconds: float, max_connections: int) -> type[H11Protocol]:
    """Uvicorn's protocol, which cuts off clients whose headers take longer than this.

    When all connections are taken, the one goes that has asked for nothing for the longest.
    """
    idle: dict[ImpatientProtocol, None] = {}  # the longest first

    class ImpatientProtocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None
        _is_upgraded = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            idle[self] = None
            self._wait()
            # The last place is refused by uvicorn.
            if len(self.connections) >= max_connections:
                next(iter(idle))._cut_off()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._is_upgraded:  # to a WebSocket, which has a protocol and limits of its own
                return
            if self.cycle is not None and not self.cycle.response_complete:
                idle.pop(self, None)
                self._stop_waiting()
            else:  # the beginning of another request's headers, perhaps
                self._wait()

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            self._is_upgraded = True
            idle.pop(self, None)
            self._stop_waiting()
            super().handle_websocket_upgrade(event)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.cycle.response_complete and not self.transport.is_closing():
                idle[self] = None
            # From here on uvicorn's own timer runs, until the next data comes.
            self._stop_waiting()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            idle.pop(self, None)
            super().connection_lost(exc)

        def _wait(self) -> None:
            if self._timer is None:
                self._timer = self.loop.call_later(header_seconds, self._cut_off)

        def _stop_waiting(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _cut_off(self) -> None:
            idle.pop(self, None)
            self.connections.discard(self)  # it is lost only in the loop's next round
            self.transport.abort()

    return ImpatientProtocol
