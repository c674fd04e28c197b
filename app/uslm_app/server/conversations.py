"""Conversations in full duplex: who holds one, and the steps of each, away from the event loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from anyio.to_thread import run_sync

from uslm.synthesis.seeds import generator
from uslm.systems.moshi.model import MoshiLM
from uslm.systems.moshi.session import MoshiSession
from uslm_app.server.errors import ApiError
from uslm_tokenizer.codecs.mimi.model import MimiCodec

FULL_SCALE = 32_768
BYTES_PER_SAMPLE = 2


class Conversations:
    """The model of a server's conversations, and how many are held."""

    def __init__(self, model: MoshiLM, codec: MimiCodec, *, most: int = 1) -> None:
        self.model, self.codec, self.most, self.num_held = model, codec, most, 0

    @contextmanager
    def hold(self, seed: int, num_channels: int) -> Iterator[Conversation]:
        """A conversation, as long as there is room. ApiError where there is none."""
        if self.num_held >= self.most:
            raise ApiError(
                429, f"{self.num_held} conversations are held, and no more can be; try later",
                code="busy", headers={"Retry-After": "30"},
            )  # fmt: skip
        self.num_held += 1
        try:
            yield Conversation(self.model, self.codec, seed, num_channels)
        finally:
            self.num_held -= 1


class Conversation:
    """One client's: samples in as they come, frames out."""

    def __init__(self, model: MoshiLM, codec: MimiCodec, seed: int, num_channels: int) -> None:
        self._session = MoshiSession(model, codec, generator(seed, "conversation"))
        self._num_channels = num_channels
        self._waiting = b""
        self.num_frames = 0
        """Frames that were heard."""

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame that goes in."""
        return BYTES_PER_SAMPLE * self._num_channels * self._session.frame_samples

    def take(self, data: bytes) -> None:
        """Keep samples until they make a frame."""
        self._waiting += data

    async def next(self) -> tuple[int, bytes] | None:
        """The text token of the next whole frame that was taken, and the sound of the answer, which
        is empty at first; None where there is no whole frame."""
        size = self.frame_bytes
        if len(self._waiting) < size:
            return None
        frame, self._waiting = self._waiting[:size], self._waiting[size:]
        # A step may take long: others are answered meanwhile.
        return await run_sync(self._step, frame)

    def _step(self, data: bytes) -> tuple[int, bytes]:
        samples = np.frombuffer(data, "<i2").reshape(-1, self._num_channels)
        channels = torch.from_numpy(samples.T.astype(np.float32) / FULL_SCALE)
        own = channels[1:2] if self._num_channels == 2 else None
        made = self._session.push(channels[:1], own)
        self.num_frames += 1
        if made.waveform is None:
            return made.text, b""
        sound = made.waveform[0].float().cpu().numpy() * FULL_SCALE
        whole = np.rint(sound).clip(-FULL_SCALE, FULL_SCALE - 1).astype("<i2")
        return made.text, whole.tobytes()
