"""Write samples to a file or a pipe as they come; a half-written file never stays."""

import os
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from uslm_tokenizer.audio.encode import STREAMABLE, Encoder, Sink, check_rate, open_encoder
from uslm_tokenizer.audio.output import AudioTarget, open_output
from uslm_tokenizer.errors import UserError

FORMATS = {
    "wav": "16-bit WAV",
    "wav-float": "32-bit float WAV",
    "flac": "16-bit FLAC, lossless",
    "ogg": "Ogg Vorbis",
    "opus": "Ogg Opus",
    "mp3": "MP3",
    "aac": "AAC as a stream (ADTS)",
    "m4a": "AAC in an MP4 file",
    "raw": "16-bit little-endian samples without a header",
}
"""What can be written, and in words what it is."""

SUFFIXES = {
    ".wav": "wav",
    ".flac": "flac",
    ".ogg": "ogg",
    ".oga": "ogg",
    ".opus": "opus",
    ".mp3": "mp3",
    ".aac": "aac",
    ".m4a": "m4a",
    ".raw": "raw",
    ".pcm": "raw",
}

Writer = TypeVar("Writer", bound="SampleWriter")


class SampleWriter:
    """Takes chunks as they come and encodes them; samples beyond [-1, 1] are clipped.

    `target` is a path, an open binary file, or `-` for the standard output. Without `format` the
    suffix decides; `-` and open files are then WAV. A path appears under its name only when all
    is on the disk; an exception inside the `with` block leaves nothing. What exists is replaced
    only with `force`. A pipe gets each chunk at once.
    """

    def __init__(
        self,
        target: AudioTarget,
        sample_rate: int,
        *,
        format: str | None = None,
        force: bool = False,
    ) -> None:
        self.sample_rate = sample_rate
        self.format = output_format(target, format)
        check_rate(self.format, sample_rate)
        self.samples = 0
        """Samples written so far."""
        self.closed_by_reader = False
        """Whether the reader of the pipe has gone; what comes after that is dropped."""
        self._finished = False
        self._output = open_output(target, force=force)
        try:
            self._sink = Sink(self._output.file, seekable=self._output.seekable)
            self._encoder = self._open_encoder()
        except BaseException:
            self._output.abort()
            raise

    def _open_encoder(self) -> Encoder:
        if not self._sink.seekable and self.format not in STREAMABLE:
            raise UserError(
                f"{self.format} can only be written to a file; "
                f"a stream may be {', '.join(STREAMABLE)}"
            )
        return open_encoder(self.format, self.sample_rate, self._sink)

    @property
    def seconds(self) -> float:
        """Length of what was written so far."""
        return self.samples / self.sample_rate

    def write_samples(self, samples: Float[np.ndarray, " n"]) -> bool:
        """Append a chunk; False once nobody reads any more, so that the caller may stop."""
        if self.closed_by_reader:
            return False
        if bad := int(np.count_nonzero(~np.isfinite(samples))):
            raise ValueError(f"a waveform must be finite, but {bad:,} samples are NaN or infinite")
        self._encoder.write(samples.clip(-1, 1))
        self.samples += len(samples)
        return self._flush()

    def close(self) -> None:
        """Finish the file and give it its name."""
        if self._finished:
            return
        self._finished = True
        try:
            self._encoder.close()
            if self._flush():
                self._output.finish()
        except OSError as error:
            raise self._output.failure(error) from error
        finally:
            self._output.abort()

    def __enter__(self: Writer) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
            return
        self._finished = True
        self._sink.stop()
        self._encoder.close()
        self._output.abort()

    def _flush(self) -> bool:
        """Hand on what is buffered; raise what went wrong, but for a reader that has left."""
        failure = self._sink.flush()
        if isinstance(failure, BrokenPipeError):
            self.closed_by_reader = True
        elif failure is not None:
            raise self._output.failure(failure) from failure
        return not self.closed_by_reader


def output_format(target: AudioTarget, format: str | None = None) -> str:
    """The format to write: the one that is given, or else by the suffix of the target."""
    choices = ", ".join(FORMATS)
    if format is not None:
        if format not in FORMATS:
            raise UserError(f"the output format must be one of {choices}, but is {format!r}")
        return format
    if not isinstance(target, (str, os.PathLike)) or os.fspath(target) == "-":
        return "wav"
    suffix = Path(target).suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    ending = f"ends in {suffix!r}" if suffix else "has no suffix"
    raise UserError(
        f"the output {os.fspath(target)!r} {ending}; it must end in {', '.join(SUFFIXES)}, "
        f"or the format be given: {choices}"
    )
