"""Whether others can reach the page; where they cannot, it answers pages of its own only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from uslm.serving.local_requests import is_this_machine, why_refused

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


def is_public(host: str | None, share: bool) -> bool:
    """Whether others than this machine can reach the page, as `launch` would serve it."""
    address = host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    return share or not is_this_machine(address) or "SPACE_ID" in os.environ  # Hugging Face's


class LocalGuard:
    """Refuses what no page of this program asked for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            from starlette.responses import PlainTextResponse

            why = why_refused(scope["method"], dict(scope["headers"]))
            if why is not None:
                await PlainTextResponse(why, status_code=403)(scope, receive, send)
                return
        await self._app(scope, receive, send)
