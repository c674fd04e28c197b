"""Read and write `.ecdc` files, the container of the original EnCodec, as codes.

No model is needed for it: whoever owns EnCodec weights decodes the codes.
"""

from __future__ import annotations

import io
import math
import struct
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Int
from torch import Tensor

from uslm_tokenizer.codecs.encodec.bridge import import_encodec
from uslm_tokenizer.errors import AudioError

BITS = 10  # both pretrained models have codebooks of 1024 entries


@dataclass(frozen=True, kw_only=True)
class EcdcFormat:
    """Facts that the file leaves to the model's name."""

    sample_rate: int
    """Samples per second, Hz."""
    frame_rate: int
    """Frames of codes per second, Hz."""
    segment_samples: int | None = None
    """Samples of one segment, each with a loudness of its own; None: one segment without."""
    stride_samples: int | None = None
    """Samples from one segment's start to the next one's."""


FORMATS = {
    "encodec_24khz": EcdcFormat(sample_rate=24_000, frame_rate=75),
    "encodec_48khz": EcdcFormat(
        sample_rate=48_000, frame_rate=150, segment_samples=48_000, stride_samples=47_520
    ),
}


@dataclass(frozen=True, kw_only=True)
class EcdcAudio:
    """The content of one file."""

    model: str
    """Name of the model that made the codes, a key of FORMATS."""
    num_samples: int
    """Length of the waveform at the model's sample rate."""
    segments: tuple[Int[Tensor, "k _"], ...]
    """Codes of each segment, in [0, 1024)."""
    scales: tuple[float, ...] = ()
    """Loudness (RMS) of each segment; empty where the model has one segment."""


def write_ecdc(audio: EcdcAudio) -> bytes:
    """The bytes of an `.ecdc` file without entropy coding, as `encodec FILE.wav` writes it."""
    frames = _segment_frames(audio.model, audio.num_samples)
    if [codes.shape[-1] for codes in audio.segments] != frames:
        raise AudioError(
            f"{audio.num_samples} samples of {audio.model} must have segments of {frames} frames, "
            f"but have {[codes.shape[-1] for codes in audio.segments]}"
        )
    has_scales = _format(audio.model).segment_samples is not None
    if len(audio.scales) != (len(frames) if has_scales else 0):
        raise AudioError(f"there are {len(audio.scales)} scales for {len(frames)} segments")
    if any(codes.min() < 0 or codes.max() >= 2**BITS for codes in audio.segments):
        raise AudioError(f"codes of an .ecdc file must lie in [0, {2**BITS})")
    binary = import_encodec().binary
    file = io.BytesIO()
    num_codebooks = audio.segments[0].shape[0]
    header = {"m": audio.model, "al": audio.num_samples, "nc": num_codebooks, "lm": False}
    binary.write_ecdc_header(file, header)
    for index, codes in enumerate(audio.segments):
        if has_scales:
            file.write(struct.pack("!f", audio.scales[index]))
        packer = binary.BitPacker(BITS, file)
        for code in codes.T.flatten().tolist():
            packer.push(code)
        packer.flush()
    return file.getvalue()


def read_ecdc(data: bytes) -> EcdcAudio:
    """The codes in the bytes of an `.ecdc` file; raises AudioError where it cannot be read."""
    binary = import_encodec().binary
    file = io.BytesIO(data)
    try:
        header = binary.read_ecdc_header(file)
        model, num_samples, num_codebooks = header["m"], int(header["al"]), int(header["nc"])
        if header["lm"]:
            raise AudioError("the .ecdc file is entropy coded (--lm), which needs EnCodec's own LM")
        kind = _format(model)
        if num_samples / kind.sample_rate * kind.frame_rate * BITS > 8 * len(data):
            raise AudioError("the .ecdc file is shorter than its header says")
        segments, scales = [], []
        for num_frames in _segment_frames(model, num_samples):
            if kind.segment_samples is not None:
                scales.append(struct.unpack("!f", file.read(4))[0])
            unpacker = binary.BitUnpacker(BITS, file)
            codes = list(islice(iter(unpacker.pull, None), num_frames * num_codebooks))
            if len(codes) < num_frames * num_codebooks:
                raise AudioError("the .ecdc file ends before its last frame")
            segments.append(torch.tensor(codes).view(num_frames, num_codebooks).T)
    except AudioError:
        raise
    except (EOFError, KeyError, TypeError, ValueError, struct.error) as error:
        raise AudioError(f"not a readable .ecdc file: {error!r}") from error
    return EcdcAudio(
        model=model, num_samples=num_samples, segments=tuple(segments), scales=tuple(scales)
    )


def _format(model: str) -> EcdcFormat:
    if model not in FORMATS:
        raise AudioError(f"the .ecdc model must be one of {sorted(FORMATS)}, but is {model!r}")
    return FORMATS[model]


def _segment_frames(model: str, num_samples: int) -> list[int]:
    """Frames of codes in each segment."""
    if num_samples < 1:
        raise AudioError(f"the .ecdc length must be at least 1 sample, but is {num_samples}")
    kind = _format(model)
    segment, stride = kind.segment_samples or num_samples, kind.stride_samples or num_samples
    return [
        math.ceil(min(num_samples - start, segment) / kind.sample_rate * kind.frame_rate)
        for start in range(0, num_samples, stride)
    ]
