"""Small pictures for a report, as the text of files that a page can hold: PNG and SVG."""

import base64
import struct
import zlib
from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from uslm_tokenizer.audio.read import resample
from uslm_tokenizer.nn.spectral import LogMel

SAMPLE_RATE = 16_000
HOP_LENGTH = 320
NUM_MELS = 80
LOUD, QUIET = 3.0, -9.0
"""Log-mel values of the brightest and the darkest colour."""
COLOURS = ((13, 8, 35), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
"""From quiet to loud; in between they are blended."""
BARS = 20


def mel_picture(waveform: Float[Tensor, "1 n"], sample_rate: int) -> str:
    """A mel spectrogram as a PNG's data address: a column for each 20 ms, low notes below."""
    samples = resample(waveform, sample_rate, SAMPLE_RATE)
    samples = torch.nn.functional.pad(samples, (0, -samples.shape[1] % HOP_LENGTH))
    mel = LogMel(SAMPLE_RATE, hop_length=HOP_LENGTH, num_mels=NUM_MELS)(samples[None])[0]
    share = ((mel.T.flip(0) - QUIET) / (LOUD - QUIET)).clamp(0, 1)
    return "data:image/png;base64," + base64.b64encode(_png(_coloured(share))).decode()


def _coloured(share: Float[Tensor, "h w"]) -> UInt8[Tensor, "h w 3"]:
    colours = torch.tensor(COLOURS, dtype=torch.float32)
    place = share * (len(COLOURS) - 1)
    below = place.long().clamp(max=len(COLOURS) - 2)
    rest = (place - below)[..., None]
    return (colours[below] * (1 - rest) + colours[below + 1] * rest).round().to(torch.uint8)


def _png(pixels: UInt8[Tensor, "h w 3"]) -> bytes:
    """The bytes of a PNG file (RFC 2083): header, one compressed block of rows, end."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.numpy().tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def histogram(values: Sequence[float], title: str) -> str:
    """A histogram of values, as SVG that takes the page's colours."""
    low, high = min(values), max(values)
    span = high - low or 1.0
    counts = [0] * BARS
    for value in values:
        counts[min(BARS - 1, int(BARS * (value - low) / span))] += 1
    width, height, top = 12, 60, max(counts)
    bars = "".join(
        f'<rect x="{i * width}" y="{height - height * count / top:.1f}" width="{width - 1}" '
        f'height="{height * count / top:.1f}"><title>{low + span * i / BARS:.3g} to '
        f"{low + span * (i + 1) / BARS:.3g}: {count}</title></rect>"
        for i, count in enumerate(counts)
    )
    return (
        f'<svg viewBox="0 0 {BARS * width} {height + 16}" role="img" aria-label="{title}">{bars}'
        f'<text x="0" y="{height + 13}">{low:.3g}</text>'
        f'<text x="{BARS * width}" y="{height + 13}" text-anchor="end">{high:.3g}</text></svg>'
    )
