"""Effects: labels of masked prediction improve by iterations, and so does what they teach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from effect import Effect, Measured, Setting
from effect_codec import FRAME_RATE, places, seeded
from effect_told import share_told
from torch import Tensor, nn

from uslm.evaluation.suites.encoded import frame_labels
from uslm.evaluation.suites.speech_set import SpeechSet, vocabulary
from uslm_tokenizer.codecs.masked_units.model import MaskedUnits, MaskedUnitsConfig
from uslm_tokenizer.objectives.label_sources import (
    Described,
    Kind,
    LabelsConfig,
    LabelSource,
    build_labels,
)
from uslm_tokenizer.objectives.masked_prediction import PredictionConfig, prediction_loss
from uslm_tokenizer.sequence.masks import MaskingConfig, draw_hidden

MELS, DIM, SIZE, CROP = 32, 64, 64, 64
NUM_CODES = 4
"""Labels of a frame of SPEAR and of its control with residual levels."""
UNTRAINED = "labels of an untrained teacher"
BEATS = ("iteration 3", "iteration 2", UNTRAINED, "k-means", "random projection")
ENCODERS = ("iteration 2", "iteration 1", "untrained", "shifted labels", "log-mel spectra")
SPEAR = ("multi-codebook", "k-means", "random projection", "residual")


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Spectra and phonemes of each utterance, 0 where there is none."""

    train: Sequence[Tensor]
    test: Sequence[Tensor]
    train_phonemes: Sequence[Tensor]
    test_phonemes: Sequence[Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Iteration:
    """A source of labels, and the model that learnt to tell them."""

    source: LabelSource
    teacher: MaskedUnits | None
    """Whose features the labels are made of; None: of spectra."""
    model: MaskedUnits


def run_labels(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Phonemes that the labels of each iteration tell."""
    rows, steps = _rows(setting.speech), setting.steps(250, 1500)
    first, second, third = _iterations(setting.speech, seed, steps, 3, setting.broken)
    teacher = seeded(seed + 9, lambda: _model(1, SIZE))
    untrained = _distilled(rows, teacher, seed, steps)
    kmeans = build_labels(LabelsConfig(kind="k-means", codebook_size=SIZE), **_sizes(None))
    kmeans.place(_all(rows.train, None), torch.Generator().manual_seed(seed))
    found = {
        "iteration 3": phonemes_told(third.source, third.teacher, rows),
        "iteration 2": phonemes_told(second.source, second.teacher, rows),
        UNTRAINED: phonemes_told(untrained, teacher, rows),
        "k-means": phonemes_told(kmeans, None, rows),
        "random projection": phonemes_told(first.source, None, rows),
    }
    return {arm: found[arm] for arm in BEATS}


def run_encoder(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Phonemes that a linear probe reads off the features of each encoder."""
    rows, steps = _rows(setting.speech), setting.steps(100, 1500)
    first, second = _iterations(setting.speech, seed, steps, 2, setting.broken)
    shifted = _predict(first.source, None, rows, seed, steps, shift=True)
    models = {
        "iteration 2": second.model,
        "iteration 1": first.model,
        "untrained": seeded(seed, lambda: _model(1, SIZE)),
        "shifted labels": shifted,
        "log-mel spectra": None,
    }
    return {arm: _probe(models[arm], rows, seed, setting.steps(200, 600)) for arm in ENCODERS}


def run_sources(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """The same student of the same teacher, by the source of its labels."""
    rows, steps = _rows(setting.speech), setting.steps(100, 1500)
    teacher = _iterations(setting.speech, seed, steps, 1, None)[0].model
    found = {}
    for arm in SPEAR:
        several = arm in ("multi-codebook", "residual")
        kind: Kind = arm  # type: ignore[assignment]
        config = LabelsConfig(
            kind=kind, codebook_size=SIZE, num_codebooks=NUM_CODES if several else 1
        )
        source = build_labels(config, **_sizes(teacher))
        given = _all(rows.train, teacher)
        source.place(given, torch.Generator().manual_seed(seed))
        shift = setting.broken == "labels shifted" and arm == SPEAR[0]
        model = _predict(source, teacher, rows, seed, steps, shift=shift)
        found[arm] = _probe(model, rows, seed, setting.steps(200, 600))
    return found


@lru_cache(maxsize=4)
def _iterations(
    speech: SpeechSet, seed: int, steps: int, count: int, broken: str | None
) -> tuple[Iteration, ...]:
    """Iterations of BEATs: a random projection, then each time what the model before knows."""
    rows = _rows(speech)
    config = LabelsConfig(kind="random projection", codebook_size=SIZE, seed=seed)
    source = build_labels(config, **_sizes(None))
    source.place(_all(rows.train, None), torch.Generator().manual_seed(seed))
    shift = broken == "labels shifted"
    model = _predict(source, None, rows, seed, steps, shift=shift)
    found = [Iteration(source=source, teacher=None, model=model)]
    for number in range(1, count):
        before = found[-1].model
        source = _distilled(rows, before, seed + number, steps)
        model = _predict(source, before, rows, seed + number, steps, shift=shift)
        found.append(Iteration(source=source, teacher=before, model=model))
    return tuple(found)


def _model(num_codebooks: int, size: int) -> MaskedUnits:
    return MaskedUnits(
        MaskedUnitsConfig(
            num_mels=MELS, dim=DIM, num_heads=4, num_layers=2, hidden_frames="left out",
            num_predictor_layers=1, num_codebooks=num_codebooks, codebook_size=size,
        )
    )  # fmt: skip


def _sizes(teacher: MaskedUnits | None) -> dict[str, int]:
    return {"num_mels": 2 * MELS, "feature_dim": 2 * MELS if teacher is None else DIM}


def _predict(
    source: LabelSource,
    teacher: MaskedUnits | None,
    rows: Rows,
    seed: int,
    steps: int,
    *,
    shift: bool,
) -> MaskedUnits:
    """Train a model to tell the labels; `shift`ed they are those of another time."""
    codebooks = source.labels(_described(_crops(rows, *places(rows.train, _draw(seed))), teacher))
    model: MaskedUnits = seeded(seed, lambda: _model(codebooks.shape[1], SIZE)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    draw, masking = _draw(seed), MaskingConfig(share=0.75, span=4)
    for step in range(steps):
        _rate(optimizer, 2e-3, step, steps)
        given = _described(_crops(rows, *places(rows.train, draw)), teacher)
        hidden = draw_hidden([CROP] * len(given.frames), masking, [draw] * len(given.frames))
        labels = source.labels(given)
        labels = labels.roll(CROP // 2, 2) if shift else labels
        scores = model(given.frames, given.real, hidden)
        _step(optimizer, prediction_loss(scores, labels, hidden, given.real, PredictionConfig()))
    return model.eval().requires_grad_(False)


def _distilled(rows: Rows, teacher: MaskedUnits, seed: int, steps: int) -> LabelSource:
    """A tokenizer from whose codes the teacher's features are told."""
    config = LabelsConfig(kind="distilled", codebook_size=SIZE, code_dim=16, dim=DIM, num_layers=2)
    source: LabelSource = seeded(seed, lambda: build_labels(config, **_sizes(teacher)))
    draw = _draw(seed)
    source.place(_described(_crops(rows, *places(rows.train, draw)), teacher), draw)
    optimizer = torch.optim.AdamW(source.train().parameters(), lr=2e-3)
    for step in range(steps):
        _rate(optimizer, 2e-3, step, steps)
        given = _described(_crops(rows, *places(rows.train, draw)), teacher)
        _step(optimizer, source.loss(given, draw))
    return source.eval().requires_grad_(False)


def phonemes_told(source: LabelSource, teacher: MaskedUnits | None, rows: Rows) -> Measured:
    """Phonemes of the test frames in their labels; frames of pauses are not asked about."""
    found = []
    for x, phonemes in zip(rows.test, rows.test_phonemes, strict=True):
        labels = source.labels(_described(x[None], teacher))[0, 0]
        spoken = phonemes > 0
        pairs = zip(labels[spoken].tolist(), phonemes[spoken].tolist(), strict=True)
        found.append(list(pairs))
    return share_told(found)


def _probe(model: MaskedUnits | None, rows: Rows, seed: int, steps: int) -> Measured:
    """Frames whose phoneme a linear layer takes for another."""
    features = [
        [x if model is None else _features(model, x) for x in which]
        for which in (rows.train, rows.test)
    ]
    x, y = torch.cat(list(features[0])), torch.cat(list(rows.train_phonemes))
    mean, std = x.mean(0), x.std(0) + 1e-3
    x, y = ((x - mean) / std)[y > 0], y[y > 0]
    probe = seeded(seed, lambda: nn.Linear(x.shape[1], int(y.max()) + 1))
    optimizer, draw = torch.optim.Adam(probe.parameters(), 5e-3), _draw(seed)
    for _ in range(steps):
        picks = torch.randint(len(x), (512,), generator=draw)
        _step(optimizer, F.cross_entropy(probe(x[picks]), y[picks]))
    errors, questions = [], []
    for frames, truth in zip(features[1], rows.test_phonemes, strict=True):
        guess = probe((frames - mean) / std)[:, 1:].argmax(1) + 1
        errors.append(float((guess != truth)[truth > 0].sum()))
        questions.append(float((truth > 0).sum()))
    return Measured(totals=tuple(errors), sizes=tuple(questions))


def _features(model: MaskedUnits, frames: Tensor) -> Tensor:
    with torch.no_grad():
        real = torch.ones(1, len(frames), dtype=torch.bool)
        return model.encoder.encode_frames(frames[None], real)[0]


@torch.no_grad()
def _described(frames: Tensor, teacher: MaskedUnits | None) -> Described:
    real = torch.ones(frames.shape[:2], dtype=torch.bool)
    features = frames if teacher is None else teacher.encoder.encode_frames(frames, real)
    return Described(frames, features, real)


def _all(rows: Sequence[Tensor], teacher: MaskedUnits | None) -> Described:
    """All frames, as one row of many; an encoder sees each utterance by itself."""
    parts = [_described(x[None], teacher) for x in rows]
    return Described(
        torch.cat([p.frames for p in parts], 1), torch.cat([p.features for p in parts], 1),
        torch.cat([p.real for p in parts], 1),
    )  # fmt: skip


@lru_cache(maxsize=2)
def _rows(speech: SpeechSet) -> Rows:
    encoder = seeded(0, lambda: _model(1, SIZE)).encoder
    symbols = vocabulary(speech.train)
    found: list[list[Tensor]] = []
    labels: list[list[Tensor]] = []
    for which in (speech.train, speech.test):
        frames = [encoder.frames(each.waveform[None])[0][0] for each in which]
        # A mean says much of the recording and of the speaker, little of the phonemes.
        found.append([x - x.mean(0) for x in frames])
        labels.append(
            [
                frame_labels(each, len(x), FRAME_RATE, symbols)
                for each, x in zip(which, frames, strict=True)
            ]
        )
    return Rows(train=found[0], test=found[1], train_phonemes=labels[0], test_phonemes=labels[1])


def _crops(rows: Rows, chosen: Sequence[int], starts: Sequence[int]) -> Tensor:
    crops = [rows.train[r][s : s + CROP] for r, s in zip(chosen, starts, strict=True)]
    return torch.stack([F.pad(x, (0, 0, 0, CROP - len(x))) for x in crops])


def _draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _rate(optimizer: torch.optim.Optimizer, highest: float, step: int, steps: int) -> None:
    """Up over a tenth of the steps, then evenly down."""
    done = step / steps
    for group in optimizer.param_groups:
        group["lr"] = highest * min(1.0, done / 0.1 + 0.02, (1 - done) / 0.9 + 0.02)


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


NOTE = (
    "Encoders are two transformer layers on log-mel spectra, less their mean over the utterance; "
    "75 % of the frames are hidden in spans of 80 ms."
)
EFFECTS = (
    Effect(
        name="beats_labels",
        claim="The labels of each iteration tell more of the phonemes",
        paper="BEATs (Chen et al. 2023)",
        arms=BEATS,
        measure="share of what there is to know of a frame's phoneme that its label tells, unseen "
        "speakers",
        better="more",
        margin=0.01,
        breaks=("labels shifted",),
        run=run_labels,
        note=f"{NOTE} The labels of iteration 1 are the random projection.",
    ),
    Effect(
        name="beats_encoder",
        claim="A second iteration teaches the encoder more than the first",
        paper="BEATs (Chen et al. 2023)",
        arms=ENCODERS,
        measure="frames with a wrong phoneme, by a linear probe of the features, unseen speakers",
        better="less",
        margin=0.01,
        breaks=("labels shifted",),
        run=run_encoder,
        note=f"{NOTE} The control is the same encoder with random weights.",
    ),
    Effect(
        name="spear_labels",
        claim="Several codes of a teacher's features teach more than one",
        paper="SPEAR (Yang et al. 2025)",
        arms=SPEAR,
        measure="frames with a wrong phoneme, by a linear probe of the student's features, unseen "
        "speakers",
        better="less",
        margin=0.01,
        breaks=("labels shifted",),
        run=run_sources,
        note=f"{NOTE} The teacher is an encoder of BEATs' first iteration; the paper has neither "
        "of these controls.",
    ),
)
