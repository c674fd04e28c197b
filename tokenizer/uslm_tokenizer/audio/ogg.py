"""Ogg pages with a serial number of ours: libsndfile draws one, and no two files are equal."""

import os
import zlib
from typing import Protocol, runtime_checkable

SERIAL = int.from_bytes(b"USLM", "little")
"""Of the only stream in a file. Players ask for another number only in streams of one file."""
HEADER_BYTES = 27

# Ogg's checksum runs from the high bit of a byte to the low one, that of zlib the other way.
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@runtime_checkable
class ByteSink(Protocol):
    """Taker of the pages."""

    def write(self, data: bytes) -> int: ...


class OggPages:
    """A file as libsndfile sees it; hands on whole pages, with our serial number."""

    def __init__(self, sink: ByteSink) -> None:
        self.sink = sink
        self.position = 0
        self._rest = b""

    def write(self, data: bytes) -> int:
        self._rest += bytes(data)
        while (size := _page_bytes(self._rest)) and size <= len(self._rest):
            self.sink.write(with_serial(self._rest[:size], SERIAL))
            self._rest = self._rest[size:]
        self.position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = 0 if whence == os.SEEK_SET else self.position
        assert origin + offset == self.position, "Ogg is written in order"
        return self.position

    def tell(self) -> int:
        return self.position

    def read(self, count: int) -> bytes:
        raise AssertionError("pages are only written")


def with_serial(page: bytes, serial: int) -> bytes:
    """The page as one of the stream with this number."""
    page = page[:14] + serial.to_bytes(4, "little") + page[18:22] + bytes(4) + page[26:]
    return page[:22] + _checksum(page).to_bytes(4, "little") + page[26:]


def _checksum(data: bytes) -> int:
    value = zlib.crc32(data.translate(_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{value:032b}"[::-1], 2)


def _page_bytes(data: bytes) -> int:
    """Length of the page that begins here; 0 while too little of it is there to tell."""
    if len(data) < HEADER_BYTES:
        return 0
    segments = data[HEADER_BYTES : HEADER_BYTES + data[26]]
    return HEADER_BYTES + data[26] + sum(segments) if len(segments) == data[26] else 0
