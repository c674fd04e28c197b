"""An utterance for a coroutine, which waits for its chunks."""

import asyncio
from contextlib import suppress

from uslm.output.speech import AudioChunk
from uslm.serving.utterance import Utterance


class Listener:
    """Wakes the event loop when the engine's thread has made something."""

    def __init__(self, utterance: Utterance) -> None:
        self._utterance = utterance
        self._event = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(self._event.set)

        utterance.listen(wake)

    async def next(self) -> AudioChunk | None:
        """The next chunk, None at the end; raises what went wrong."""
        while True:
            self._event.clear()
            is_over = self._utterance.is_over  # before looking: what comes last comes before it
            chunk = self._utterance.take()
            if chunk is not None or is_over:
                return chunk
            await self._event.wait()
