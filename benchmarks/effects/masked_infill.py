"""Effect: masked generation fills in codes from what is said, and not from how often they occur."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from effect import Effect, Measured, Setting
from effect_codec import FRAME_RATE, seeded
from torch import Tensor

from uslm.evaluation.suites.baseline import MelUnits, MelUnitsConfig
from uslm.evaluation.suites.encoded import EncodedSpeech, encode_set, frame_labels
from uslm.evaluation.suites.speech_set import SAMPLE_RATE, vocabulary
from uslm.models.masked import MaskedRow
from uslm.systems.maskgct.model import MaskGCTSemanticToAcoustic, MaskGCTSemanticToAcousticConfig

CODES, CROP, BATCH = 32, 64, 16
"""Entries of the codebook; frames of a crop, crops of a step."""
SHARE, TIME = 0.5, 1 / 3
"""Of the frames that are masked in the test, and the time of such a share: sin(t pi / 2) is it."""


def run(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """MaskGCT's second stage, small: of each frame the phoneme is given, and the unit filled in."""
    speech = setting.speech
    units = MelUnits(MelUnitsConfig(codebook_size=CODES)).eval()
    draw = torch.Generator().manual_seed(seed)
    units.fit([each.waveform for each in speech.train], SAMPLE_RATE, generator=draw)
    encoded = encode_set("units", units, speech)
    symbols = vocabulary(speech.train)

    def conditions(rows: Sequence[EncodedSpeech]) -> list[Tensor]:
        return [frame_labels(row.speech, row.codes.shape[1], FRAME_RATE, symbols) for row in rows]

    given, asked = conditions(encoded.train), conditions(encoded.test)
    if setting.broken == "conditions of other speech":
        given = _others(given)
        asked = _others(asked)
    arms = {
        "condition": (given, asked),
        "no condition": ([0 * x for x in given], [0 * x for x in asked]),
        "condition of other speech": (_others(given), _others(asked)),
    }
    config = MaskGCTSemanticToAcousticConfig(
        num_units=len(symbols) + 1, num_codebooks=1, first_codebook=0, codebook_size=CODES, dim=64,
        num_heads=2, num_layers=2,
    )  # fmt: skip
    found = {}
    for arm, (learnt, tested) in arms.items():
        model = seeded(seed, lambda: MaskGCTSemanticToAcoustic(config)).train()
        _train(model, encoded.train, learnt, seed, setting.steps(600, 3000))
        found[arm] = _ask(model.eval(), encoded.test, tested, seed)
    found["most frequent"] = _most_frequent(encoded.train, encoded.test, seed)
    return found


def _others(rows: Sequence[Tensor]) -> list[Tensor]:
    """For each utterance what the next one says, as long as its own."""
    mixed = []
    for place, row in enumerate(rows):
        other = rows[(place + 1) % len(rows)]
        mixed.append(other.repeat(len(row) // max(1, len(other)) + 1)[: len(row)])
    return mixed


def _train(
    model: MaskGCTSemanticToAcoustic,
    rows: Sequence[EncodedSpeech],
    conditions: Sequence[Tensor],
    seed: int,
    steps: int,
) -> None:
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        chosen = torch.randint(len(rows), (BATCH,), generator=draw).tolist()
        share = torch.rand(BATCH, generator=draw).tolist()
        crops = []
        for r, s in zip(chosen, share, strict=True):
            start = int(s * max(1, rows[r].codes.shape[1] - CROP))
            target = rows[r].codes[:1, start : start + CROP]
            condition = conditions[r][start : start + CROP]
            crops.append(MaskedRow(condition=condition, prompt=target[:, :0], target=target))
        optimizer.zero_grad()
        model.loss(model.batch(crops), generator=draw).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


@torch.no_grad()
def _ask(
    model: MaskGCTSemanticToAcoustic,
    rows: Sequence[EncodedSpeech],
    conditions: Sequence[Tensor],
    seed: int,
) -> Measured:
    """Masked frames of each utterance that are filled with another code, the likeliest at once."""
    wrong, asked = [], []
    for number, (row, condition) in enumerate(zip(rows, conditions, strict=True)):
        codes = row.codes[:1]
        masked = _masked(codes, seed, number)
        batch = model.batch([MaskedRow(condition=condition, prompt=codes[:, :0], target=codes)])
        batch = replace(batch, is_target=batch.frame_mask)
        hidden = model(batch, masked[None], torch.tensor([TIME]), codebook=0)
        guess = model.logits(hidden, 0)[0].argmax(-1)
        wrong.append(float((guess != codes[0])[masked].sum()))
        asked.append(float(masked.sum()))
    return Measured(totals=tuple(wrong), sizes=tuple(asked))


def _most_frequent(
    train: Sequence[EncodedSpeech], test: Sequence[EncodedSpeech], seed: int
) -> Measured:
    best = int(torch.cat([row.codes[0] for row in train]).bincount(minlength=CODES).argmax())
    wrong, asked = [], []
    for number, row in enumerate(test):
        masked = _masked(row.codes, seed, number)
        wrong.append(float((row.codes[0] != best)[masked].sum()))
        asked.append(float(masked.sum()))
    return Measured(totals=tuple(wrong), sizes=tuple(asked))


def _masked(codes: Tensor, seed: int, number: int) -> Tensor:
    """The same frames in every arm; never none."""
    draw = torch.Generator().manual_seed(1000 * seed + number)
    masked = torch.rand(codes.shape[1], generator=draw) < SHARE
    masked[0] = True
    return masked


EFFECTS = (
    Effect(
        name="masked_infill",
        claim="Masked generation fills in codes from what is said",
        paper="MaskGCT (Wang et al. 2025)",
        arms=("condition", "no condition", "condition of other speech", "most frequent"),
        measure="masked units that are filled with another, half of each utterance being masked",
        better="less",
        margin=0.02,
        breaks=("conditions of other speech",),
        run=run,
        note="The condition is the phoneme of each frame, the units are k-means of log-mel frames.",
    ),
)
