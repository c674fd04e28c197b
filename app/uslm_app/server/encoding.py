"""Speech as bytes of a format, chunk by chunk; the same bytes as all at once."""

from __future__ import annotations

import io
import threading
from importlib.util import find_spec

import numpy as np
import soxr
from jaxtyping import Float
from torch import Tensor

from uslm_app.server.errors import ApiError
from uslm_app.server.mp3 import WithoutTag
from uslm_tokenizer.audio.aac import MUXERS
from uslm_tokenizer.audio.encode import Sink, open_encoder

MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "m4a": "audio/mp4",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
PCM_RATE = 24_000
"""What OpenAI's clients play `pcm` at, Hz."""


def check_format(format: str) -> None:
    """Raise ApiError if speech cannot be sent so."""
    if format in MEDIA_TYPES and (format not in MUXERS or find_spec("av")):
        return
    missing = () if find_spec("av") else tuple(MUXERS)
    known = [name for name in MEDIA_TYPES if name not in missing]
    raise ApiError(
        400,
        f"response_format {format!r} cannot be made here; it may be {', '.join(known)}"
        + (' (aac and m4a with pip install "uslm[aac]")' if missing else ""),
        param="response_format",
        code="unsupported_format",
    )


class ByteEncoder:
    """Takes waveforms, gives bytes; in the end either `finish` or `abort` it."""

    def __init__(self, format: str, from_rate: int, to_rate: int | None = None) -> None:
        check_format(format)
        self.media_type = MEDIA_TYPES[format]
        self.sample_rate = to_rate or (PCM_RATE if format == "pcm" else from_rate)
        """Samples per second of what comes out, Hz."""
        self._resampler = None
        if self.sample_rate != from_rate:
            self._resampler = soxr.ResampleStream(from_rate, self.sample_rate, 1, dtype="float32")
        self._out = io.BytesIO()
        self._filter = WithoutTag() if format == "mp3" else None
        # Not seekable: what has been sent cannot be mended any more.
        self._sink = Sink(self._out, seekable=False)
        name = "raw" if format == "pcm" else format
        self._encoder = open_encoder(name, self.sample_rate, self._sink)
        self._is_open = True
        self._lock = threading.Lock()

    def push(self, waveform: Float[Tensor, "1 n"]) -> bytes:
        """The bytes that are settled by now; perhaps none."""
        with self._lock:
            self._encode(waveform[0].numpy(), is_last=False)
            return self._taken()

    def finish(self) -> bytes:
        """The bytes that are left."""
        with self._lock:
            if self._resampler is not None:
                self._encode(np.zeros(0, np.float32), is_last=True)
            self._is_open = False
            self._encoder.close()
            return self._taken()

    def abort(self) -> None:
        """Nobody wants the rest; nothing happens if it is finished."""
        with self._lock:  # a push may still run, in a thread that nobody waits for
            if self._is_open:
                self._is_open = False
                self._sink.stop()
                self._encoder.close()

    def _encode(self, samples: np.ndarray, *, is_last: bool) -> None:
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples, last=is_last)
        self._encoder.write(samples.clip(-1, 1))

    def _taken(self) -> bytes:
        data = self._out.getvalue()
        self._out.seek(0)
        self._out.truncate()
        return data if self._filter is None else self._filter.push(data)
