"""Sound on its way to the players of a page: kept in memory, and given to who knows its name."""

from __future__ import annotations

import base64
import secrets
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import anyio
import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

MAX_BYTES = 256 * 2**20
"""What all sounds of a page may take; the oldest are forgotten first."""
TAKEN_BYTES = 2**20
"""Most that one answer holds."""
WAIT_SECONDS = 10.0
"""So long an answer waits for something new."""


class Sound:
    """Samples that come bit by bit; one thread writes, others read."""

    def __init__(self, sample_rate: int) -> None:
        self.id = secrets.token_urlsafe(16)
        """Whoever knows it may listen."""
        self.sample_rate = sample_rate
        """Hz."""
        self.data = bytearray()
        """16-bit samples, little endian."""
        self._done = threading.Event()

    @property
    def is_done(self) -> bool:
        """Whether nothing more will come."""
        return self._done.is_set()

    def wait(self, seconds: float) -> None:
        """Return when nothing more will come, or after so long."""
        self._done.wait(seconds)

    def push(self, waveform: Float[Tensor, "1 n"]) -> None:
        """More samples."""
        samples = (waveform[0].clamp(-1, 1) * 32767).round().to(torch.int16)
        self.data += samples.numpy().astype("<i2").tobytes()

    @property
    def seconds(self) -> float:
        """Length of what has come."""
        return len(self.data) / 2 / self.sample_rate

    def waveform(self) -> Float[Tensor, "1 n"]:
        """Samples that have come."""
        samples = torch.frombuffer(bytearray(self.data), dtype=torch.int16)
        return samples.float()[None] / 32767

    def close(self) -> None:
        """That was all."""
        self._done.set()


class Sounds:
    """The sounds of one page."""

    def __init__(self) -> None:
        self._sounds: OrderedDict[str, Sound] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, sample_rate: int) -> Sound:
        """A new sound, without samples."""
        sound = Sound(sample_rate)
        with self._lock:
            self._sounds[sound.id] = sound
            while len(self._sounds) > 1 and self._num_bytes() > MAX_BYTES:
                self._sounds.popitem(last=False)
        return sound

    def put(self, waveform: Float[Tensor, "1 n"], sample_rate: int) -> Sound:
        """A sound that is there as a whole."""
        sound = self.open(sample_rate)
        sound.push(waveform)
        sound.close()
        return sound

    async def take(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Answer to players: the sound `id` from sample `start` on, or a wait for more of it."""
        sound, start = self._sounds.get(str(wanted.get("id"))), wanted.get("start")
        if sound is None or not isinstance(start, int) or start < 0:
            return {"samples": "", "done": True}
        deadline = time.monotonic() + WAIT_SECONDS
        while len(sound.data) <= 2 * start and not sound.is_done and time.monotonic() < deadline:
            await anyio.sleep(0.05)
        is_done = sound.is_done  # before the samples: none can come between the two
        new = bytes(sound.data[2 * start : 2 * start + TAKEN_BYTES])
        is_last = is_done and 2 * start + len(new) >= len(sound.data)
        return {"samples": base64.b64encode(new).decode(), "done": is_last}

    def _num_bytes(self) -> int:
        return sum(len(sound.data) for sound in self._sounds.values())
