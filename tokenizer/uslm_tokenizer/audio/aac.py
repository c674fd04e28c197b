"""AAC through PyAV (`pip install "uslm[aac]"`): as a stream of its own, or in an MP4 file."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from uslm_tokenizer.errors import EnvironmentProblem

if TYPE_CHECKING:
    from uslm_tokenizer.audio.encode import Sink

MUXERS = {"aac": "adts", "m4a": "ipod"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "500000"}
"""An MP4 that is written once, in order, half a second at a time."""
FRAME_SAMPLES = 1_024


class AACEncoder:
    """Takes samples in [-1, 1]. Frames are of one size, so that chunks give the bytes of the whole.

    What is streamed begins with 1,024 samples of the coder's delay; an MP4 that is a file says so,
    and players leave them out.
    """

    def __init__(self, format: str, sample_rate: int, sink: Sink) -> None:
        av = _library()
        self._frame_type, self._rate, self._position = av.AudioFrame, sample_rate, 0
        target = _File(sink) if sink.seekable else _Pipe(sink)
        fragments = FRAGMENTS if format == "m4a" and not sink.seekable else {}
        self._container = av.open(
            target, "w", format=MUXERS[format], options={**fragments, "fflags": "+bitexact"}
        )
        self._stream = self._container.add_stream("aac", rate=sample_rate, layout="mono")
        self._stream.bit_rate = _bit_rate(sample_rate)
        self._pending = np.zeros(0, np.float32)

    def write(self, samples: NDArray[np.float32]) -> None:
        samples = np.concatenate([self._pending, samples])
        whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
        for start in range(0, whole, FRAME_SAMPLES):
            self._encode(samples[start : start + FRAME_SAMPLES])
        self._pending = samples[whole:]

    def close(self) -> None:
        if len(self._pending):
            self._encode(self._pending)
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def _encode(self, block: NDArray[np.float32]) -> None:
        frame = self._frame_type.from_ndarray(block[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = self._rate, self._position
        frame.time_base = Fraction(1, self._rate)
        self._position += len(block)
        self._container.mux(self._stream.encode(frame))


class _Pipe:
    """A sink that can only be written to, as PyAV tells by what it has."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, data: bytes) -> int:
        return self._sink.write(data)


class _File(_Pipe):
    """A sink that is written to anywhere."""

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._sink.seek(offset, whence)

    def tell(self) -> int:
        return self._sink.tell()


def _bit_rate(sample_rate: int) -> int:
    """Bits per second at which speech of this rate is clear, within what AAC allows."""
    return min(4 * sample_rate, 96_000)


def _library() -> Any:
    try:
        import av
    except ImportError as problem:
        raise EnvironmentProblem(
            f'aac and m4a need PyAV ({problem}): pip install "uslm[aac]"'
        ) from problem
    return av
