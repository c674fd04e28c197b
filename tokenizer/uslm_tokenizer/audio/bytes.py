"""Recordings as bytes, before they are decoded: sizes that were left open, two files in one.

Who writes a WAV into a pipe cannot go back to note its size; many write 0. And `cat a.mp3 b.mp3`
makes one file of two, of which decoders play the first and say nothing.
"""

import re
from typing import Protocol, runtime_checkable

from uslm_tokenizer.audio.sniff import announced_bytes

BLOCK_BYTES = 2**20
OVERLAP_BYTES = 64
"""More than any of the beginnings below has."""

_MP3 = re.compile(rb"(?:Xing|Info)\x00\x00\x00[\x00-\x0f]")
BEGINNINGS = {
    b"fLaC": re.compile(rb"fLaC[\x00\x80]\x00\x00\x22"),
    b"OggS": re.compile(
        rb"OggS\x00[\x02\x06].{20}\x01.(?:\x01vorbis|OpusHead|\x7fFLAC)", re.DOTALL
    ),
    b"ID3": _MP3,
    b"\xff": _MP3,
}
"""By its first bytes: what is once in a recording of this kind."""


@runtime_checkable
class BinaryReader(Protocol):
    """A file open for reading bytes: what `open(path, "rb")`, BytesIO and an upload have."""

    def read(self, size: int, /) -> bytes: ...
    def seek(self, offset: int, whence: int = ..., /) -> int: ...
    def tell(self) -> int: ...
    def seekable(self) -> bool: ...


def mended(head: bytes, size: int) -> bytes:
    """The beginning of a file of `size` bytes, with the sizes of a WAV where they were left 0."""
    if not (head.startswith(b"RIFF") and head[8:12] == b"WAVE"):
        return head
    place = 12
    while place + 8 <= len(head):
        name, length = (
            head[place : place + 4],
            int.from_bytes(head[place + 4 : place + 8], "little"),
        )
        begin = place + 8
        if name == b"data":
            if length or begin >= size or _is_chunk(head[begin : begin + 8], size - begin):
                return head
            riff, data = _four_bytes(size - 8), _four_bytes(size - begin)
            return head[:4] + riff + head[8 : place + 4] + data + head[begin:]
        place = begin + length + length % 2
    return head


def end_of_first(file: BinaryReader, head: bytes, size: int) -> int:
    """End of the recording that begins with `head`: before `size` where a second follows it."""
    announced = announced_bytes(head)
    if announced:
        file.seek(min(announced, size))
        return announced if file.read(4) == head[:4] else size
    beginning = next((BEGINNINGS[each] for each in BEGINNINGS if head.startswith(each)), None)
    if beginning is None:
        return size
    places: set[int] = set()
    start, before = 0, b""
    file.seek(0)
    while len(places) < 2 and (block := file.read(BLOCK_BYTES)):
        data = before + block
        places |= {start - len(before) + found.start() for found in beginning.finditer(data)}
        start, before = start + len(block), data[-OVERLAP_BYTES:]
    return sorted(places)[1] if len(places) > 1 else size


def _is_chunk(head: bytes, size: int) -> bool:
    """Whether another chunk of a WAV begins here, and ends where the file does or before."""
    length = int.from_bytes(head[4:8], "little")
    return re.match(rb"[A-Za-z][A-Za-z0-9 ]{3}", head) is not None and 8 + length <= size


def _four_bytes(number: int) -> bytes:
    return min(number, 0xFFFF_FFFF).to_bytes(4, "little")
