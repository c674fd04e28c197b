"""A small codec of log-mel frames, and a teacher of phonemes: what effects of quantizers train.

It stands for a codec of waveforms, which takes hours where this takes seconds: the quantizers and
the objectives are those of `uslm_tokenizer`, and only encoder and decoder are small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from effect import Measured, Setting
from torch import Tensor, nn

from uslm.evaluation.suites.baseline import MelUnits, MelUnitsConfig
from uslm.evaluation.suites.downstream import probe_phonemes
from uslm.evaluation.suites.encoded import EncodedSet, EncodedSpeech, frame_labels
from uslm.evaluation.suites.probe import ProbeConfig
from uslm.evaluation.suites.speech_set import LabelledSpeech, SpeechSet, vocabulary
from uslm_tokenizer.quantize.base import Quantized
from uslm_tokenizer.quantize.build import QuantizerConfig, build_quantizer
from uslm_tokenizer.quantize.rvq import ResidualQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig

MELS, DIM, LATENT, CODES = 40, 64, 16, 32
CROP, BATCH = 48, 16
"""Frames of a crop, crops of a step."""
FRAME_RATE = 50.0
"""Frames per second of the spectrograms."""
Rows = Sequence[Tensor]
More = Callable[["MelCodec", Quantized, Tensor, list[int], list[int]], Tensor]
"""What an arm adds to the loss: codec, pass, crops, and where they were cut."""


class MelCodec(nn.Module):
    """Log-mel -> latents -> codes -> log-mel."""

    def __init__(self, quantizer: QuantizerConfig, teacher_dim: int = 1) -> None:
        super().__init__()
        width = quantizer.dim
        self.encoder = nn.Sequential(
            nn.Conv1d(MELS, DIM, 5, padding=2), nn.GELU(),
            nn.Conv1d(DIM, DIM, 5, padding=2), nn.GELU(), nn.Conv1d(DIM, width, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv1d(width, DIM, 5, padding=2), nn.GELU(), nn.Conv1d(DIM, MELS, 5, padding=2)
        )
        self.to_teacher = nn.Linear(width, teacher_dim)
        self.quantizer = build_quantizer(quantizer)  # last: what is before starts alike in all arms


class Teacher(nn.Module):
    """Log-mel -> features that tell phonemes apart."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(MELS, DIM, 5, padding=2), nn.GELU(), nn.Conv1d(DIM, 32, 5, padding=2)
        )
        self.head = nn.Sequential(nn.GELU(), nn.Conv1d(32, num_classes, 1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Frames:
    """Log-mel frames [t, mels] of a speech set, less the mean, with a variance of one."""

    speech: SpeechSet
    train: Rows
    test: Rows


def levels(count: int, *, size: int = CODES, dim: int = LATENT) -> ResidualQuantizerConfig:
    """A residual stack that every row uses to its end."""
    level = VectorQuantizerConfig(dim=dim, codebook_size=size)
    return ResidualQuantizerConfig(levels=(level,) * count, dropout=0.0)


def frames_of(speech: SpeechSet) -> Frames:
    """The frames of each utterance."""
    mel = MelUnits(MelUnitsConfig(num_mels=MELS))
    train, test = (
        [mel.features(row.waveform[None])[0] for row in rows]
        for rows in (speech.train, speech.test)
    )
    together = torch.cat(train)
    mean, scale = together.mean(0), together.std()
    return Frames(
        speech=speech,
        train=[(x - mean) / scale for x in train],
        test=[(x - mean) / scale for x in test],
    )


def phoneme_teacher(frames: Frames, seed: int, steps: int) -> Rows:
    """Features [t, e] of each training utterance, of `taught_teacher`."""
    return features_of(taught_teacher(frames, seed, steps), frames)[0]


def taught_teacher(frames: Frames, seed: int, steps: int) -> Teacher:
    """A network that was taught phonemes: stronger than a self-supervised one. With no steps it has
    random weights."""
    symbols = vocabulary(frames.speech.train)
    labels = [
        frame_labels(each, len(x), FRAME_RATE, symbols)
        for each, x in zip(frames.speech.train, frames.train, strict=True)
    ]
    teacher: Teacher = seeded(seed, lambda: Teacher(len(symbols) + 1))
    optimizer = torch.optim.Adam(teacher.parameters(), 3e-3)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows, starts = places(frames.train, draw)
        x, y = crops(frames.train, rows, starts), crops(labels, rows, starts)
        optimizer.zero_grad()
        F.cross_entropy(teacher.head(teacher.body(x.transpose(1, 2))), y).backward()
        optimizer.step()
    return teacher.eval()


@torch.no_grad()
def features_of(teacher: Teacher, frames: Frames) -> tuple[Rows, Rows]:
    """Features [t, e] of the utterances to learn from and of those to measure with; each dimension
    has a mean of zero and a variance of one over the former."""
    train, test = (
        [teacher.body(x.T[None])[0].T for x in rows] for rows in (frames.train, frames.test)
    )
    together = torch.cat(train)
    mean, scale = together.mean(0), together.std(0).clamp(min=1e-3)
    return [(x - mean) / scale for x in train], [(x - mean) / scale for x in test]


def train_codec(
    quantizer: QuantizerConfig,
    frames: Frames,
    seed: int,
    steps: int,
    *,
    more: More | None = None,
    teacher_dim: int = 1,
) -> MelCodec:
    """Every arm of a seed has the same start, crops and number of steps."""
    codec = seeded(seed, lambda: MelCodec(quantizer, teacher_dim))
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        start = torch.cat(
            [codec.encoder(crops(frames.train, *places(frames.train, draw)).mT) for _ in range(4)]
        )
    codec.quantizer.initialize(start, generator=draw)
    optimizer = torch.optim.Adam(codec.parameters(), 3e-3)
    order, draw = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows, starts = places(frames.train, order)
        x = crops(frames.train, rows, starts)
        quantized = codec.quantizer(codec.encoder(x.mT), generator=draw)
        loss = F.mse_loss(codec.decoder(quantized.latents).mT, x) + 0.25 * quantized.loss
        if more is not None:
            loss = loss + more(codec, quantized, x, rows, starts)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return codec.eval()


@torch.no_grad()
def encode_frames(codec: MelCodec, frames: Frames, count: int, size: int = CODES) -> EncodedSet:
    """The first `count` levels of the codes."""

    def coded(rows: Rows, speech: Sequence[LabelledSpeech]) -> tuple[EncodedSpeech, ...]:
        return tuple(
            EncodedSpeech(
                codes=codec.quantizer.encode(codec.encoder(x.T[None]))[0, :count], speech=each
            )
            for x, each in zip(rows, speech, strict=True)
        )

    return EncodedSet(
        name="codes",
        train=coded(frames.train, frames.speech.train),
        test=coded(frames.test, frames.speech.test),
        frame_rate=FRAME_RATE,
        codebook_size=size,
        num_codebooks=count,
    )


def phoneme_errors(encoded: EncodedSet, setting: Setting, seed: int) -> Measured:
    """Frames of each test utterance whose phoneme a probe of one layer takes for another."""
    config = ProbeConfig(
        dim=48, kernel_size=1, num_layers=1, steps=setting.steps(100, 600), learning_rate=1e-2
    )
    shuffled = setting.broken == "labels shuffled"
    found = probe_phonemes(encoded, config, seed=seed, shuffle_labels=shuffled)
    return Measured(totals=found.errors, sizes=found.questions)


def seeded(seed: int, build: Callable[[], Any]) -> Any:
    """A module with the starting weights of this seed; the global random state stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def places(rows: Rows, draw: torch.Generator) -> tuple[list[int], list[int]]:
    """Which utterances, of those that are as long as a crop, and from which frame."""
    usable = [place for place, row in enumerate(rows) if len(row) >= CROP]
    chosen = [usable[i] for i in torch.randint(len(usable), (BATCH,), generator=draw).tolist()]
    share = torch.rand(BATCH, generator=draw).tolist()
    pairs = zip(share, chosen, strict=True)
    return chosen, [int(s * max(1, len(rows[r]) - CROP)) for s, r in pairs]


def crops(rows: Rows, chosen: Sequence[int], starts: Sequence[int]) -> Tensor:
    """Segments of one length, side by side."""
    return torch.stack([rows[r][s : s + CROP] for r, s in zip(chosen, starts, strict=True)])
