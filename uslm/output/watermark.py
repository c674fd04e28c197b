"""An inaudible mark in speech that a program can find again: PerTh (Resemble AI, MIT licence).

Only the weights come from the package `resemble-perth`; its own code needs torchaudio and librosa,
and the network is short. It moves the levels below 2 kHz a little, and finds out whether a
recording was so moved: yes or no, not by whom.

What it is not: a proof. Whoever wants it gone can remove it, and what carries no mark may be
synthetic all the same. It is meant for those who want their speech to be known as synthetic.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from uslm.output.speech import AudioChunk
from uslm_tokenizer.audio.read import resample
from uslm_tokenizer.errors import AudioError, EnvironmentProblem, MissingResource
from uslm_tokenizer.pretrained.checkpoint import read_checkpoint

SAMPLE_RATE = 32_000
N_FFT = 2048
HOP_LENGTH = 320
NUM_BINS = 128
"""Bins of the spectrum that carry the mark: those below 2 kHz."""
LOW_DB, HIGH_DB = -180.0, 15.0
"""Levels that the network knows as 0 and 1."""
SOUND_SHARE = 0.05
"""A frame with less level than this, of the loudest one's, is silence and carries nothing."""

BLOCK_SECONDS = 1.0
"""A stream is marked in blocks of this length, ..."""
MARGIN_SECONDS = 0.25
"""... each with so much of its neighbours, which is as far as the network and the STFT see."""

WINDOW_SECONDS = 10.0
"""A recording is searched in windows of this length."""
MIN_SECONDS = 1.0
"""Less cannot be searched."""
THRESHOLD = 0.6
"""A higher score means that the mark is there. Speech of a second without it comes up to 0.56, of
more seconds to 0.3; with it, and after MP3 or Opus, it has 0.9 and more."""


@runtime_checkable
class Watermark(Protocol):
    """A way to mark speech; waveforms keep their length and rate."""

    name: str

    def mark(self, waveform: Float[Tensor, "1 n"], sample_rate: int) -> Float[Tensor, "1 n"]: ...

    def score(self, waveform: Float[Tensor, "1 n"], sample_rate: int) -> float:
        """0 for speech without the mark, 1 for speech with it."""
        ...


class Perth(nn.Module):
    """PerTh's implicit watermark."""

    name = "perth"
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _stack(NUM_BINS)
        self.slow, self.normal, self.fast = _stack(2), _stack(2), _stack(2)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    @classmethod
    def from_package(cls) -> "Perth":
        """With the weights of the installed package."""
        spec = find_spec("perth")
        folders = [] if spec is None else list(spec.submodule_search_locations or ())
        if not folders:
            raise EnvironmentProblem(
                "the watermark needs the weights of resemble-perth: pip install 'uslm[watermark]'"
            )
        found = sorted(Path(folders[0]).glob("perth_net/pretrained/implicit/*.pth.tar"))
        if not found:
            raise MissingResource(
                f"{folders[0]!r} holds no watermark: it is another package named perth; "
                "pip install 'uslm[watermark]'"
            )
        return cls.from_file(found[-1])

    @classmethod
    def from_file(cls, path: str | Path) -> "Perth":
        """With the weights of `perth_net_250000.pth.tar`."""
        state = read_checkpoint(Path(path), "model")
        model = cls()
        model.load_state_dict({name: state[_pretrained(name)] for name in model.state_dict()})
        return model.eval().requires_grad_(False)

    @torch.no_grad()
    def mark(self, waveform: Float[Tensor, "1 n"], sample_rate: int) -> Float[Tensor, "1 n"]:
        """The waveform with the mark, in [-1, 1]. Only what the mark changes is resampled."""
        at_our_rate = resample(waveform.float().cpu(), sample_rate, SAMPLE_RATE)
        spectrum = self._spectrum(at_our_rate)
        levels = _levels(spectrum)
        low = levels[:, :NUM_BINS]
        moved = low + self.encoder(low) * _is_sound(levels)
        change = torch.polar(_magnitudes(moved) - _magnitudes(low), spectrum[:, :NUM_BINS].angle())
        change = F.pad(change, (0, 0, 0, spectrum.shape[1] - NUM_BINS))
        added = torch.istft(
            change, N_FFT, HOP_LENGTH, window=self.window, length=at_our_rate.shape[1]
        )
        added = resample(added, SAMPLE_RATE, sample_rate)
        missing = waveform.shape[1] - added.shape[1]  # rounding, of a sample or two
        return (waveform + F.pad(added, (0, missing))).clamp(-1, 1)

    @torch.no_grad()
    def score(self, waveform: Float[Tensor, "1 n"], sample_rate: int) -> float:
        """Confidence that the mark is there, 0 to 1."""
        levels = _levels(self._spectrum(resample(waveform.float().cpu(), sample_rate, SAMPLE_RATE)))
        low, is_sound = levels[:, :NUM_BINS], _is_sound(levels)
        # The mark is also looked for as it is after speech was made faster or slower.
        scores = []
        for branch, stretch in ((self.slow, 1.25), (self.normal, 1.0), (self.fast, 0.75)):
            length = int(low.shape[2] * stretch)
            stretched = F.interpolate(low, size=length, mode="linear", align_corners=True)
            weight = F.interpolate(is_sound, size=length, mode="nearest")
            scores.append((branch(stretched) * weight).sum(dim=2) / weight.sum(dim=2).clamp(min=1))
        attention, marks = torch.cat(scores).unbind(dim=1)
        return float((attention.softmax(dim=0) * marks).sum().clamp(0, 1))

    def _spectrum(self, waveform: Float[Tensor, "1 n"]) -> Tensor:
        # Reflected at the ends, which a short waveform is not long enough for.
        padded = F.pad(waveform, (0, max(0, N_FFT // 2 + 1 - waveform.shape[1])))
        return torch.stft(padded, N_FFT, HOP_LENGTH, window=self.window, return_complex=True)


def _stack(num_outputs: int) -> nn.Sequential:
    """A network over frames: 15 to each side."""
    layers: list[nn.Module] = [nn.Conv1d(NUM_BINS, 256, 1), nn.LeakyReLU()]
    for _ in range(5):
        layers += [nn.Conv1d(256, 256, 7, padding=3), nn.LeakyReLU()]
    return nn.Sequential(*layers, nn.Conv1d(256, num_outputs, 1))


def _pretrained(name: str) -> str:
    """Our name of a weight as the package's: encoder.2.bias is encoder.layers.1.conv.bias."""
    stack, place, kind = name.split(".")
    where = "encoder.layers" if stack == "encoder" else f"decoder.{stack}_layers"
    return f"{where}.{int(place) // 2}.conv.{kind}"


def _levels(spectrum: Tensor) -> Float[Tensor, "b f t"]:
    decibels = 20 * spectrum.abs().clamp(min=10 ** (LOW_DB / 20)).log10()
    return (decibels - LOW_DB) / (HIGH_DB - LOW_DB)


def _magnitudes(levels: Float[Tensor, "b f t"]) -> Float[Tensor, "b f t"]:
    return 10 ** ((levels * (HIGH_DB - LOW_DB) + LOW_DB) / 20)


def _is_sound(levels: Float[Tensor, "b f t"]) -> Float[Tensor, "b 1 t"]:
    total = levels.sum(dim=1, keepdim=True)
    return (total > SOUND_SHARE * total.amax(dim=2, keepdim=True)).float()


# ---- streams


def watermarked(chunks: Iterable[AudioChunk], watermark: Watermark) -> Iterator[AudioChunk]:
    """A stream of speech with the mark in it; it comes a second and a bit later."""
    stream: MarkedStream | None = None
    for chunk in chunks:
        stream = stream or MarkedStream(watermark, chunk.sample_rate)
        yield replace(chunk, waveform=stream.push(chunk.waveform, chunk.is_final))


class MarkedStream:
    """Marks samples as they come; what comes back in all does not depend on how they came."""

    def __init__(self, watermark: Watermark, sample_rate: int) -> None:
        self._watermark, self._rate = watermark, sample_rate
        self._block = round(BLOCK_SECONDS * sample_rate)
        self._margin = round(MARGIN_SECONDS * sample_rate)
        self._held = torch.zeros(1, 0)
        self._before = 0
        """How much of what is held has been given back, and is kept as a neighbour only."""

    def push(self, waveform: Float[Tensor, "1 n"], is_final: bool) -> Float[Tensor, "1 m"]:
        """More samples; those that are marked come back."""
        self._held = torch.cat([self._held, waveform], dim=1)
        out = [torch.zeros(1, 0)]
        while self._held.shape[1] >= self._before + self._block + self._margin:
            out.append(self._next(self._block))
        while is_final and self._held.shape[1] > self._before:
            out.append(self._next(min(self._block, self._held.shape[1] - self._before)))
        return torch.cat(out, dim=1)

    def _next(self, length: int) -> Float[Tensor, "1 m"]:
        start, end = self._before, self._before + length
        marked = self._watermark.mark(self._held[:, : end + self._margin], self._rate)
        first = max(0, end - self._margin)
        self._held, self._before = self._held[:, first:], end - first
        return marked[:, start:end]


# ---- finding it again


@dataclass(frozen=True, kw_only=True)
class Detection:
    """Places of a recording in which the mark was found."""

    windows: tuple[tuple[float, float, float], ...]
    """Begin and end in seconds, and score, of each window."""

    @property
    def score(self) -> float:
        """The mean over all windows, by their lengths."""
        total = sum(end - begin for begin, end, _ in self.windows)
        return sum((end - begin) * score for begin, end, score in self.windows) / total

    @property
    def marked_share(self) -> float:
        """Share of the recording, by windows, that carries the mark."""
        total = sum(end - begin for begin, end, _ in self.windows)
        return sum(end - begin for begin, end, score in self.windows if score > THRESHOLD) / total


def detect(watermark: Watermark, waveform: Float[Tensor, "1 n"], sample_rate: int) -> Detection:
    """Search a recording, window by window. AudioError where it is too short or silent."""
    num_samples = waveform.shape[1]
    if num_samples < MIN_SECONDS * sample_rate:
        raise AudioError(
            f"a watermark can be searched in {MIN_SECONDS:g} s or more, but there are "
            f"{num_samples / sample_rate:.2f} s"
        )
    if not bool(waveform.any()):
        raise AudioError("the recording is silent: there is nothing that could carry a watermark")
    count = max(1, round(num_samples / (WINDOW_SECONDS * sample_rate)))
    edges = [round(num_samples * i / count) for i in range(count + 1)]
    windows = []
    for start, end in itertools.pairwise(edges):
        score = watermark.score(waveform[:, start:end], sample_rate)
        windows.append((start / sample_rate, end / sample_rate, score))
    return Detection(windows=tuple(windows))
