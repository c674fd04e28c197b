"""Effect: a teacher's features, distilled into the first level, put content there.

A small codec of log-mel spectrograms instead of waveforms. Its teacher is a network that was taught
the phonemes of the training speakers, so it is stronger than a self-supervised one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from effect import Effect, Measured, Setting
from torch import Tensor, nn

from uslm.evaluation.suites.baseline import MelUnits, MelUnitsConfig
from uslm.evaluation.suites.downstream import probe_phonemes
from uslm.evaluation.suites.encoded import EncodedSet, EncodedSpeech, frame_labels
from uslm.evaluation.suites.probe import ProbeConfig
from uslm.evaluation.suites.speech_set import LabelledSpeech, vocabulary
from uslm_tokenizer.objectives.distillation import distillation_loss
from uslm_tokenizer.quantize import kmeans
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig

MELS, DIM, LATENT, CODES, LEVELS = 40, 64, 16, 32, 3
CROP, BATCH = 48, 16
"""Frames of a crop, crops of a step."""
FRAME_RATE = 50.0
"""Frames per second of the spectrograms."""
WEIGHT = 4.0
"""Of the distillation beside the reconstruction, whose target has a variance of one."""
Targets = Sequence[Tensor]


class MelCodec(nn.Module):
    """Log-mel -> latents -> residual codes -> log-mel."""

    def __init__(self, teacher_dim: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv1d(MELS, DIM, 5, padding=2), nn.GELU(),
            nn.Conv1d(DIM, DIM, 5, padding=2), nn.GELU(), nn.Conv1d(DIM, LATENT, 1),
        )  # fmt: skip
        level = VectorQuantizerConfig(dim=LATENT, codebook_size=CODES)
        self.quantizer = ResidualQuantizer(
            ResidualQuantizerConfig(levels=(level,) * LEVELS, dropout=0)
        )
        self.decoder = nn.Sequential(
            nn.Conv1d(LATENT, DIM, 5, padding=2), nn.GELU(), nn.Conv1d(DIM, MELS, 5, padding=2)
        )
        self.to_teacher = nn.Linear(LATENT, teacher_dim)


class Teacher(nn.Module):
    """Log-mel -> features that tell phonemes apart."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(MELS, DIM, 5, padding=2), nn.GELU(), nn.Conv1d(DIM, 32, 5, padding=2)
        )
        self.head = nn.Sequential(nn.GELU(), nn.Conv1d(32, num_classes, 1))


def run(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Every arm has the same start, crops and steps."""
    speech, steps = setting.speech, setting.steps(120, 1500)
    mel = MelUnits(MelUnitsConfig(num_mels=MELS))
    raw = {"train": _features(mel, speech.train), "test": _features(mel, speech.test)}
    mean, scale = torch.cat(raw["train"]).mean(0), torch.cat(raw["train"]).std()
    mels = {split: [(x - mean) / scale for x in rows] for split, rows in raw.items()}
    targets = _teach(mels["train"], speech.train, seed, steps)
    centres = kmeans.fit(
        torch.cat(list(targets)),
        CODES,
        iterations=20,
        generator=torch.Generator().manual_seed(seed),
    )
    labels = [kmeans.nearest(rows, centres)[0] for rows in targets]
    found = {}
    for arm in ARMS:
        codec = _train(arm, mels["train"], targets, labels, seed, steps, setting.broken)
        encoded = _encode(codec, mels, speech.train, speech.test)
        found[arm] = _content(encoded, setting, seed)
    return found


def _teach(
    mels: Sequence[Tensor], speech: Sequence[LabelledSpeech], seed: int, steps: int
) -> Targets:
    """The teacher's features of each training utterance, with a variance of one."""
    symbols = vocabulary(speech)
    labels = [
        frame_labels(each, len(x), FRAME_RATE, symbols)
        for each, x in zip(speech, mels, strict=True)
    ]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        teacher = Teacher(len(symbols) + 1)
    optimizer = torch.optim.Adam(teacher.parameters(), 3e-3)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows, starts = _places(mels, draw)
        x, y = _crops(mels, rows, starts), _crops(labels, rows, starts)
        optimizer.zero_grad()
        F.cross_entropy(teacher.head(teacher.body(x.transpose(1, 2))), y).backward()
        optimizer.step()
    with torch.no_grad():
        features = [teacher.body(x.T[None])[0].T for x in mels]
    together = torch.cat(features)
    return [(x - together.mean(0)) / together.std(0).clamp(min=1e-3) for x in features]


def _train(
    arm: str,
    mels: Sequence[Tensor],
    targets: Targets,
    labels: Sequence[Tensor],
    seed: int,
    steps: int,
    broken: str | None,
) -> MelCodec:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        codec = MelCodec(max(targets[0].shape[1], CODES))
    draw = torch.Generator().manual_seed(seed)
    rows, starts = _places(mels, draw)
    with torch.no_grad():
        start = codec.encoder(_crops(mels, rows, starts).transpose(1, 2))
    codec.quantizer.initialize(start, generator=draw)
    optimizer = torch.optim.Adam(codec.parameters(), 3e-3)
    for _ in range(steps):
        rows, starts = _places(mels, draw)
        x = _crops(mels, rows, starts)
        quantized = codec.quantizer(codec.encoder(x.transpose(1, 2)), generator=draw)
        made = codec.decoder(quantized.latents).transpose(1, 2)
        loss = F.mse_loss(made, x) + 0.25 * quantized.loss
        level = quantized.levels[0].transpose(1, 2)
        if broken == "gradient cut":
            level = level.detach()
        told = codec.to_teacher(level)
        if arm == "pseudo-label":
            y = _crops(labels, rows, starts)
            loss = loss + WEIGHT / 4 * F.cross_entropy(told[..., :CODES].flatten(0, 1), y.flatten())
        elif arm != "no teacher":
            wanted = _crops(targets, rows, starts)
            if arm == "teacher of other speech":
                wanted = wanted.roll(1, 0)
            loss = loss + WEIGHT * distillation_loss(told[..., : wanted.shape[2]], wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return codec.eval()


@torch.no_grad()
def _encode(
    codec: MelCodec,
    mels: Mapping[str, Sequence[Tensor]],
    train: Sequence[LabelledSpeech],
    test: Sequence[LabelledSpeech],
) -> EncodedSet:
    """The first level alone."""

    def coded(
        rows: Sequence[Tensor], speech: Sequence[LabelledSpeech]
    ) -> tuple[EncodedSpeech, ...]:
        return tuple(
            EncodedSpeech(
                codes=codec.quantizer.encode(codec.encoder(x.T[None]))[0, :1], speech=each
            )
            for x, each in zip(rows, speech, strict=True)
        )

    return EncodedSet(
        name="first level",
        train=coded(mels["train"], train),
        test=coded(mels["test"], test),
        frame_rate=FRAME_RATE,
        codebook_size=CODES,
        num_codebooks=1,
    )


def _content(encoded: EncodedSet, setting: Setting, seed: int) -> Measured:
    config = ProbeConfig(
        dim=48, kernel_size=1, num_layers=1, steps=setting.steps(100, 600), learning_rate=1e-2
    )
    shuffled = setting.broken == "labels shuffled"
    found = probe_phonemes(encoded, config, seed=seed, shuffle_labels=shuffled)
    return Measured(totals=found.errors, sizes=found.questions)


def _features(mel: MelUnits, rows: Sequence[LabelledSpeech]) -> list[Tensor]:
    return [mel.features(row.waveform[None])[0] for row in rows]


def _places(mels: Sequence[Tensor], draw: torch.Generator) -> tuple[list[int], list[int]]:
    rows = torch.randint(len(mels), (BATCH,), generator=draw).tolist()
    share = torch.rand(BATCH, generator=draw).tolist()
    return rows, [int(s * max(1, len(mels[r]) - CROP)) for r, s in zip(rows, share, strict=True)]


def _crops(rows: Sequence[Tensor], chosen: list[int], starts: list[int]) -> Tensor:
    return torch.stack([rows[r][s : s + CROP] for r, s in zip(chosen, starts, strict=True)])


ARMS = ("distilled", "no teacher", "teacher of other speech", "pseudo-label")
EFFECT = Effect(
    name="distillation",
    claim="Distillation puts content into the first level",
    paper="SpeechTokenizer (Zhang et al. 2023)",
    arms=ARMS,
    measure="frames with a wrong phoneme, from the first level alone, unseen speakers",
    better="less",
    margin=0.02,
    breaks=("gradient cut", "labels shuffled"),
    run=run,
)
