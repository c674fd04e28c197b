"""Encode mono samples block by block: WAV and raw by hand, AAC through PyAV, the rest through
libsndfile."""

import os
import struct
from typing import BinaryIO, Protocol, cast, runtime_checkable

import numpy as np
import soundfile
from numpy.typing import NDArray

from uslm_tokenizer.audio.aac import MUXERS, AACEncoder
from uslm_tokenizer.audio.ogg import OggPages
from uslm_tokenizer.audio.output import BinaryWriter
from uslm_tokenizer.errors import UserError

# MP3 goes back to its first frame at the end, to note the length and the padding.
STREAMABLE = ("wav", "wav-float", "flac", "ogg", "opus", "aac", "m4a", "raw")

_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_RATES = {
    "flac": (*_MP3_RATES, 96_000, 192_000),
    "ogg": (*_MP3_RATES, 96_000, 192_000),  # libsndfile crashes at 384,000 and above
    "opus": (8_000, 12_000, 16_000, 24_000, 48_000),
    "mp3": _MP3_RATES,
    "aac": _MP3_RATES,
    "m4a": _MP3_RATES,
}
_CODINGS = {
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
UNKNOWN_SIZE = 0xFFFF_FFFF
WAV_HEADER_BYTES = 44
BLOCK_SAMPLES = 1_024


@runtime_checkable
class Encoder(Protocol):
    """Takes samples in [-1, 1]; `close` writes what is left."""

    def write(self, samples: NDArray[np.float32]) -> None: ...
    def close(self) -> None: ...


def check_rate(format: str, rate: int) -> None:
    """Refuse a sample rate that the format cannot hold."""
    allowed = _RATES.get(format)
    if rate < 1 or (allowed is not None and rate not in allowed):
        words = "above 0" if allowed is None else "one of " + ", ".join(f"{r:,}" for r in allowed)
        raise UserError(f"the sample rate of {format} must be {words} Hz, but is {rate:,} Hz")


def open_encoder(format: str, sample_rate: int, sink: "Sink") -> Encoder:
    """The encoder of a format; the headers go to the sink at once."""
    if format in _CODINGS:
        return _SndfileEncoder(format, sample_rate, sink)
    if format in MUXERS:
        return AACEncoder(format, sample_rate, sink)
    return _PlainEncoder(format, sample_rate, sink)


class Sink:
    """A file as an encoder sees it: it never fails, and the first failure is kept.

    An exception cannot cross libsndfile, which is why. What is not `seekable` is written once, in
    order: a header that would be mended at the end stays as it was, as WAV, FLAC and Ogg allow.
    """

    def __init__(self, file: BinaryWriter, *, seekable: bool) -> None:
        self.file, self.seekable = file, seekable
        self.start = file.tell() if seekable else 0
        self.position = self.end = 0
        self.failure: OSError | None = None
        self.stopped = False

    def write(self, data: bytes) -> int:
        new = data if self.seekable else data[max(0, self.end - self.position) :]
        if len(new) and self._works:
            try:
                self.file.write(bytes(new))
            except OSError as error:
                self.failure = error
        self.position += len(data)
        self.end = max(self.end, self.position)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.end}[whence]
        self.position = origin + offset
        if self.seekable and self._works:
            try:
                self.file.seek(self.start + self.position)
            except OSError as error:
                self.failure = error
        return self.position

    def tell(self) -> int:
        return self.position

    def read(self, count: int) -> bytes:
        raise AssertionError("a sink is only written to")

    def flush(self) -> OSError | None:
        """Hand on what is buffered; returns the first failure there was."""
        if self._works:
            try:
                self.file.flush()
            except OSError as error:
                self.failure = error
        return self.failure

    def stop(self) -> None:
        """Drop all that comes."""
        self.stopped = True

    @property
    def _works(self) -> bool:
        return self.failure is None and not self.stopped


class _PlainEncoder:
    """The samples as they are, after a WAV header or none."""

    def __init__(self, format: str, sample_rate: int, sink: Sink) -> None:
        self.has_header = format != "raw"
        self.floats = format == "wav-float"
        self.sample_rate, self.sink = sample_rate, sink
        self._write_header(UNKNOWN_SIZE, UNKNOWN_SIZE)

    def write(self, samples: NDArray[np.float32]) -> None:
        data = samples.astype("<f4") if self.floats else _to_int16(samples)
        self.sink.write(data.tobytes())

    def close(self) -> None:
        if self.sink.seekable:
            size = self.sink.end
            self.sink.seek(0)
            self._write_header(size - 8, size - WAV_HEADER_BYTES)
            self.sink.seek(0, os.SEEK_END)

    def _write_header(self, riff_bytes: int, data_bytes: int) -> None:
        """The 44 bytes of a mono WAV; sizes beyond 4 GiB stay unknown."""
        if not self.has_header:
            return
        riff_bytes, data_bytes = min(riff_bytes, UNKNOWN_SIZE), min(data_bytes, UNKNOWN_SIZE)
        coding, width = (3, 4) if self.floats else (1, 2)
        rate = self.sample_rate
        header = struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE")
        header += struct.pack(
            "<4sIHHIIHH", b"fmt ", 16, coding, 1, rate, rate * width, width, width * 8
        )
        self.sink.write(header + struct.pack("<4sI", b"data", data_bytes))


class _SndfileEncoder:
    """FLAC, Ogg Vorbis, Ogg Opus (10 ms longer than what is given) and MP3."""

    def __init__(self, format: str, sample_rate: int, sink: Sink) -> None:
        container, coding = _CODINGS[format]
        self.lossless = format == "flac"
        # libsndfile 1.2 spoils the last 5 ms of Opus: let them be silence.
        self.tail_samples = sample_rate // 100 if format == "opus" else 0
        file = cast(BinaryIO, OggPages(sink) if container == "OGG" else sink)
        self.sound = soundfile.SoundFile(
            file, "w", sample_rate, 1, format=container, subtype=coding
        )

        self.pending = np.zeros(0, np.float32)

    def write(self, samples: NDArray[np.float32]) -> None:
        # Always in blocks of one size: the first one shapes the start of a Vorbis stream, and
        # very large ones overflow libsndfile's stack.
        samples = np.concatenate([self.pending, samples])
        whole = len(samples) // BLOCK_SAMPLES * BLOCK_SAMPLES
        for start in range(0, whole, BLOCK_SAMPLES):
            self._encode(samples[start : start + BLOCK_SAMPLES])
        self.pending = samples[whole:]

    def close(self) -> None:
        self._encode(self.pending)
        self._encode(np.zeros(self.tail_samples, np.float32))
        self.sound.close()

    def _encode(self, block: NDArray[np.float32]) -> None:
        self.sound.write(_to_int16(block) if self.lossless else block)


def _to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    # By 32768, as readers divide: what was read as 16 bits is written as the same bits.
    scaled: NDArray[np.float32] = np.rint(samples * np.float32(32768)).clip(-32768, 32767)
    return scaled.astype("<i2")
