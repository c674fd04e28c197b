"""MP3 as a stream: without the first frame, which tells a length that nobody knows yet.

An encoder begins with a frame of no sound ("Info" or "Xing") and goes back at the end to note in
it how long the whole is. Sent as it is at first, it says that there is nothing.
"""

from __future__ import annotations

HEADER_BYTES = 4
# ISO 11172-3 and 13818-3, layer III: kbit/s by index, and samples per second by version and index.
BIT_RATES = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
SAMPLE_RATES = {
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8_000),
}


class WithoutTag:
    """Passes a stream of MP3 on, but for a first frame that is only a tag."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._is_past = False

    def push(self, data: bytes) -> bytes:
        """Bytes that may be sent by now."""
        if self._is_past:
            return data
        self._held += data
        length = frame_length(bytes(self._held))
        if length is None or len(self._held) < length:
            return b""
        self._is_past = True
        frame = self._held[:length]
        is_tag = b"Info" in frame or b"Xing" in frame
        return bytes(self._held[length:] if is_tag else self._held)


def frame_length(data: bytes) -> int | None:
    """Bytes of the frame that begins here; None while its header has not come."""
    if len(data) < HEADER_BYTES:
        return None
    header = int.from_bytes(data[:HEADER_BYTES], "big")
    assert header >> 21 == 0x7FF, "not the beginning of an MP3 frame"
    version, bit_rate, rate = header >> 19 & 3, header >> 12 & 15, header >> 10 & 3
    is_first = version == 3  # MPEG 1: 1152 samples per frame, the later ones 576
    bytes_of_samples = 144_000 if is_first else 72_000
    kilobits = BIT_RATES[is_first][bit_rate]
    return bytes_of_samples * kilobits // SAMPLE_RATES[version][rate] + (header >> 9 & 1)
