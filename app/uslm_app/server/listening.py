"""Letting go of an utterance when the client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.types import Receive

from uslm.serving.utterance import Utterance


@asynccontextmanager
async def cancelled_with(receive: Receive, utterance: Utterance) -> AsyncIterator[None]:
    """Cancel the utterance if the client leaves inside the `with` block."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        utterance.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher
