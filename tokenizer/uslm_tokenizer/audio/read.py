"""Read a recording of any common format, rate and channel count as one mono waveform."""

import difflib
import io
import math
import os
import stat
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from uslm_tokenizer.audio.bytes import BinaryReader, end_of_first
from uslm_tokenizer.audio.decode import READABLE_WORDS, go_to, open_sound, read_blocks, reason
from uslm_tokenizer.audio.sniff import SNIFFED_BYTES, announced_bytes
from uslm_tokenizer.errors import AudioError, MissingResource

MIN_SAMPLE_RATE = 4_000
MAX_SAMPLE_RATE = 768_000

# A pipe cannot be rewound, so it is held in memory first: at most this much of it.
MAX_PIPE_BYTES = 256 * 2**20
MIN_DAMAGED_SECONDS = 0.1


AudioSource = str | os.PathLike[str] | bytes | BinaryReader


@dataclass(frozen=True, kw_only=True)
class AudioInfo:
    """Facts of a recording before it was read."""

    name: str
    """The path, quoted, or words for bytes and open files; for messages."""
    sample_rate: int
    """Samples per second in the file, Hz."""
    channels: int
    """Channels in the file; they are mixed to one."""
    seconds: float
    """Length of the whole recording; of what was read, where the file does not tell."""
    format: str
    """Container, in libsndfile's words: WAV, FLAC, OGG, MP3, ..."""
    subtype: str
    """Coding, in libsndfile's words: PCM_16, VORBIS, OPUS, ..."""
    complete: bool
    """Whether all of it was read; False where `max_seconds` ended it."""
    start_seconds: float = 0.0
    """Where reading began; what lies before is silence that was passed over."""
    warnings: tuple[str, ...] = ()
    """What was wrong and could be mended: a truncated file, samples beyond full scale, ..."""


@dataclass(frozen=True)
class Audio:
    """A mono waveform in [-1, 1], and where it came from."""

    waveform: Float[Tensor, "1 n"]
    sample_rate: int
    source: AudioInfo | None = None

    @property
    def seconds(self) -> float:
        return self.waveform.shape[-1] / self.sample_rate

    def noting(self, warning: str) -> "Audio":
        """The same audio with one more thing that was wrong with its file."""
        assert self.source is not None
        source = replace(self.source, warnings=(*self.source.warnings, warning))
        return replace(self, source=source)

    def resampled(self, sample_rate: int) -> "Audio":
        """The same audio at another rate."""
        waveform = resample(self.waveform, self.sample_rate, sample_rate)
        return Audio(waveform, sample_rate, self.source)


def read_audio(
    source: AudioSource, *, max_seconds: float | None = None, silent_dbfs: float | None = None
) -> Audio:
    """Read a path, bytes or a binary file at its own rate, mixed to mono.

    Where not all of it is to be read, a beginning that never reaches `silent_dbfs` is passed over.

    Memory is bounded by `max_seconds`, however long the file is or says it is. Raises
    MissingResource where there is no such file, AudioError where it cannot be used.
    """
    if max_seconds is not None and not max_seconds > 0:
        raise AudioError(f"max_seconds must be above 0, but is {max_seconds}")
    name = _name(source)
    with _open(source, name) as file:
        try:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            head = file.read(SNIFFED_BYTES)
            end = end_of_first(file, head, size)
        except OSError as error:
            raise AudioError(f"{name} cannot be read: {reason(error)}") from error
        if size == 0:
            raise AudioError(f"{name} is empty (0 bytes); give a recording: {READABLE_WORDS}")
        with open_sound(file, name, head, end) as sound:
            audio = _read_sound(sound, name, announced_bytes(head) > size, max_seconds, silent_dbfs)
        if end < size:
            return audio.noting(f"{name} holds another recording after the first; it is not read")
        return audio


def resample(
    waveform: Float[Tensor, "*channels n"], from_rate: int, to_rate: int
) -> Float[Tensor, "*channels m"]:
    """Band-limited resampling (soxr, HQ); the same tensor where the rates are equal."""
    for rate in (from_rate, to_rate):
        _check_rate(rate, "the waveform")
    if from_rate == to_rate:
        return waveform
    rows = waveform.detach().cpu().reshape(-1, waveform.shape[-1]).numpy().astype(np.float32)
    resampled = [soxr.resample(row, from_rate, to_rate, quality="HQ") for row in rows]
    joined = torch.from_numpy(np.stack(resampled)).to(waveform.device)
    return joined.reshape(*waveform.shape[:-1], joined.shape[-1])


def _cancels(mix_energy: float, channel_energies: NDArray[np.float64]) -> bool:
    # Unrelated channels, or one live among dead ones, give a mean of energy sum(E) / c^2.
    unrelated = float(channel_energies.sum()) / len(channel_energies) ** 2
    return mix_energy < 0.05 * unrelated


def _name(source: AudioSource) -> str:
    if isinstance(source, bytes):
        return "the audio given as bytes"
    if isinstance(source, (str, os.PathLike)):
        return repr(os.fspath(source))
    name = getattr(source, "name", None)
    return repr(name) if isinstance(name, str) else "the audio given as an open file"


def _open(source: AudioSource, name: str) -> AbstractContextManager[BinaryReader]:
    """A binary file that can be rewound; paths are opened here and closed on exit."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if not isinstance(source, (str, os.PathLike)):
        return nullcontext(source if source.seekable() else _held(source, name))
    try:
        mode = os.stat(source).st_mode
        if stat.S_ISDIR(mode):
            raise AudioError(f"{name} is a folder; give a recording in it: {READABLE_WORDS}")
        file = open(source, "rb")  # noqa: SIM115 (the caller closes it)
    except FileNotFoundError as error:
        raise MissingResource(f"there is no file {name}{_nearest(Path(source))}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        raise AudioError(f"{name} cannot be opened: {reason(error)}") from error
    if stat.S_ISREG(mode):
        return file
    with file:
        return _held(file, name)


def _held(pipe: BinaryReader, name: str) -> io.BytesIO:
    data = pipe.read(MAX_PIPE_BYTES + 1)
    if len(data) > MAX_PIPE_BYTES:
        limit = MAX_PIPE_BYTES // 2**20
        raise AudioError(f"{name} is a pipe of more than {limit} MiB; save it to a file first")
    return io.BytesIO(data)


def _nearest(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f": there is no folder {str(folder)!r}"
    near = difflib.get_close_matches(path.name, os.listdir(folder), n=1)
    return f"; did you mean {str(folder / near[0])!r}?" if near else ""


def _check_rate(rate: int, name: str) -> None:
    if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        limits = f"{MIN_SAMPLE_RATE:,} to {MAX_SAMPLE_RATE:,} Hz"
        raise AudioError(f"the sample rate of {name} must be {limits}, but is {rate:,} Hz")


def _read_sound(
    sound: soundfile.SoundFile,
    name: str,
    cut_off: bool,
    max_seconds: float | None,
    silent_dbfs: float | None,
) -> Audio:
    rate, announced = sound.samplerate, sound.frames
    _check_rate(rate, name)
    limit = 2**62 if max_seconds is None else math.ceil(max_seconds * rate)
    first = 0
    if silent_dbfs is not None and limit < announced < 2**62:
        first = _first_sound(sound, 10 ** (silent_dbfs / 20))
        go_to(sound, first, name)
        announced -= first

    mixes, bad, mix_energy = [np.zeros(0, np.float32)], 0, 0.0
    energies = np.zeros(sound.channels)
    for block in read_blocks(sound, limit):
        bad += int(np.count_nonzero(~np.isfinite(block)))
        if bad == 0:
            mixes.append(block.mean(axis=1))
            mix_energy += float(np.square(mixes[-1], dtype=np.float64).sum())
            energies += np.square(block, dtype=np.float64).sum(axis=0)
    samples = np.concatenate(mixes)
    if bad:
        raise AudioError(f"{name} holds {bad:,} samples that are NaN or infinite; export it anew")

    warnings = []
    expected = min(announced, limit) if announced < 2**62 else 0
    if cut_off or len(samples) < 0.98 * expected:
        damage = f"{name} is truncated or damaged: {len(samples) / rate:.2f} s of it can be read"
        if len(samples) < MIN_DAMAGED_SECONDS * rate:
            raise AudioError(f"{damage}; at least {MIN_DAMAGED_SECONDS} s are needed")
        warnings.append(damage)
    if len(samples) == 0:
        raise AudioError(f"{name} is {sound.format} audio without a single sample")
    if _cancels(mix_energy, energies):
        loudest = int(energies.argmax())
        go_to(sound, first, name)
        samples = np.concatenate([block[:, loudest] for block in read_blocks(sound, limit)])
        warnings.append(
            f"the {sound.channels} channels of {name} cancel each other (opposite phase); "
            f"only channel {loudest + 1} is used"
        )
    if (peak := float(np.abs(samples).max())) > 1:
        samples = samples / np.float32(peak)
        if sound.subtype in ("FLOAT", "DOUBLE"):  # a lossy decoder overshoots a little: no news
            warnings.append(f"{name} reaches {peak:.4g}, beyond full scale (1.0); turned down")

    complete = len(samples) < limit or announced <= limit
    known = announced < 2**62 and not complete
    info = AudioInfo(
        name=name,
        sample_rate=rate,
        channels=sound.channels,
        seconds=(first + (announced if known else len(samples))) / rate,
        format=sound.format,
        subtype=sound.subtype,
        complete=complete,
        start_seconds=first / rate,
        warnings=tuple(warnings),
    )
    return Audio(torch.from_numpy(samples)[None], rate, info)


def _first_sound(sound: soundfile.SoundFile, level: float) -> int:
    """The frame to begin at: a block before the first that reaches the level; 0 if none does."""
    begin = before = 0
    for block in read_blocks(sound, 2**62):
        if not np.abs(block).max() < level:  # NaN is told later
            return before
        before, begin = begin, begin + len(block)
    return 0
