"""From the bytes of a recording to blocks of samples, by libsndfile."""

import os
from collections.abc import Iterator
from typing import cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from uslm_tokenizer.audio.bytes import BinaryReader, mended
from uslm_tokenizer.audio.sniff import sniff
from uslm_tokenizer.errors import AudioError

# What libsndfile guesses beyond these (HTK, MAT4, ...) is far more often not audio at all.
READABLE = (
    *("WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF"),
    *("NIST", "VOC", "IRCAM", "SVX", "PVF", "AVR", "SD2"),
)
READABLE_WORDS = "wav, flac, ogg, opus, mp3, aiff, au, caf and w64"

BLOCK_SAMPLES = 2**14  # small, for a block with damage in it is lost


def open_sound(file: BinaryReader, name: str, head: bytes, size: int) -> soundfile.SoundFile:
    """Open the decoder for `size` bytes that begin with `head`, or say what they are instead."""
    reader = _Reader(file, mended(head, size), size)
    reader.seek(0)
    found = sniff(head)
    try:
        sound = _SoundFile(reader)
    except (soundfile.SoundFileError, OverflowError) as error:
        if reader.failure is not None:
            raise AudioError(f"{name} cannot be read: {reason(reader.failure)}") from error
        raise AudioError(_refusal(name, found.words, readable=found.readable)) from error
    if sound.format not in READABLE:
        sound.close()
        raise AudioError(_refusal(name, f"a file of the kind {sound.format}", readable=False))
    return sound


def _refusal(name: str, words: str, *, readable: bool) -> str:
    if readable:
        return f"{name} begins as {words}, but is damaged, cut off or of a coding not known here"
    return (
        f"{name} is {words}, which cannot be read here; it may be {READABLE_WORDS}. Other "
        "recordings can be converted: ffmpeg -i INPUT -ac 1 OUTPUT.wav"
    )


def go_to(sound: soundfile.SoundFile, frame: int, name: str) -> None:
    """Read on from that frame. Raises AudioError where a damaged file leads beyond its end."""
    sound.seek(frame)
    if sound.tell() > sound.frames:
        raise AudioError(f"{name} is damaged: its samples do not lie where it says")


def read_blocks(sound: soundfile.SoundFile, limit: int) -> Iterator[NDArray[np.float32]]:
    """Blocks [n, channels] until the limit, the end, or the first damage."""
    size = max(1, BLOCK_SAMPLES // sound.channels)
    remaining = limit
    while remaining > 0:
        try:
            block = sound.read(min(size, remaining), dtype="float32", always_2d=True)
        except soundfile.SoundFileError:
            return
        if len(block) == 0:
            return
        remaining -= len(block)
        yield cast(NDArray[np.float32], block)


def reason(error: Exception) -> str:
    """Reason why a file cannot be read, in the system's words."""
    return getattr(error, "strerror", None) or str(error)


class _Reader:
    """The part of a file that libsndfile needs, and no name from which it would guess a format.

    It begins with `head` and ends after `size` bytes, whatever the file has there. An exception
    cannot cross libsndfile: it is held in `failure` and reads as the end of the file.
    """

    def __init__(self, file: BinaryReader, head: bytes, size: int) -> None:
        self.file, self.head, self.size = file, head, size
        self.failure: OSError | None = None

    def read(self, count: int) -> bytes:
        try:
            start = self.file.tell()
            data = self.file.read(max(0, min(count, self.size - start)))
        except OSError as error:
            self.failure = error
            return b""
        known = self.head[start : start + len(data)]
        return known + data[len(known) :]

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            offset, whence = self.size + offset, os.SEEK_SET
        # A damaged header can ask for a place before the start.
        try:
            return self.file.seek(offset, whence)
        except (OSError, ValueError):
            return -1

    def tell(self) -> int:
        return self.file.tell()


class _SoundFile(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """Reads straight on: where it may, soundfile seeks after each block, and that fails at the
    end of a FLAC stream that does not tell its length."""

    def seekable(self) -> bool:
        return False
