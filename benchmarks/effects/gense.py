"""Effect: a language model rewrites the units of noisy speech as those of the clean (GenSE)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from effect import Effect, Measured, Setting
from effect_codec import FRAME_RATE, seeded
from torch import Tensor

from uslm.evaluation.suites.baseline import MelUnits, MelUnitsConfig
from uslm.evaluation.suites.speech_set import LabelledSpeech, SpeechSet
from uslm.generate.sampling import Sampling
from uslm.generate.spans import write_spans
from uslm.models.span_lm import SpanLMConfig
from uslm.models.spans import Span
from uslm.systems.gense.model import CLEAN_UNITS, NOISY_UNITS, GenseLM, kinds_of
from uslm_recipes.data.augment.damage import DamageConfig, damaged

SIZE, FRAMES, ROWS = 64, 100, 16
"""Units; frames of a row; rows of a step."""
DAMAGE = DamageConfig(
    min_snr_db=0.0, max_snr_db=10.0, babble_share=0.0, room_share=0.0, band_share=0.0,
    codec_share=0.0,
)  # fmt: skip
COPIES = 4
"""Noises in which each utterance to learn from is heard."""
ARMS = ("translated", "units of the noisy recording", "another's noise read")
Pairs = Sequence[tuple[Tensor, Tensor]]
"""Units of each utterance, noisy and clean."""


def run_units(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Share of units that are not the clean recording's."""
    train, test = _pairs(setting.speech, seed)
    found = {ARMS[1]: _wrong([noisy for noisy, _ in test], test)}
    for arm in (ARMS[0], ARMS[2]):
        astray = arm == ARMS[2] or setting.broken == "pairs shuffled"
        model = _trained(train, setting.steps(500, 4000), seed, astray=astray)
        found[arm] = _wrong(_translated(model, test), test)
    return {arm: found[arm] for arm in ARMS}


def _trained(pairs: Pairs, steps: int, seed: int, *, astray: bool) -> GenseLM:
    """The cleaner; `astray`, it is shown the noisy units of another utterance."""
    kinds = kinds_of(num_units=SIZE, unit_rate=FRAME_RATE)
    config = SpanLMConfig(kinds=kinds, dim=96, num_heads=4, num_layers=3, dropout=0.1)
    model: GenseLM = seeded(seed, lambda: GenseLM(config)).train()
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps + 1)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = []
        for pick in torch.randint(len(pairs), (ROWS,), generator=draw).tolist():
            other = int(torch.randint(len(pairs), (1,), generator=draw))
            noisy, clean = pairs[pick]
            noisy = pairs[other][0] if astray else noisy
            most = max(1, len(clean) - FRAMES + 1)
            start = int(torch.randint(most, (1,), generator=draw))
            cut = slice(start, start + FRAMES)
            rows.append([Span(NOISY_UNITS, noisy[cut]), Span(CLEAN_UNITS, clean[cut])])
        loss = model.loss(model.batch(rows))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def _translated(model: GenseLM, pairs: Pairs) -> list[Tensor]:
    """The likeliest units for each utterance, in rows as long as those of the training."""
    rows = [[Span(NOISY_UNITS, part)] for noisy, _ in pairs for part in noisy.split(FRAMES)]
    written = write_spans(
        model, rows, CLEAN_UNITS, [len(row[0].ids) for row in rows],
        sampling=Sampling(temperature=0.0), generators=[torch.Generator() for _ in rows],
    )  # fmt: skip
    made, place = [], 0
    for noisy, _ in pairs:
        count = len(noisy.split(FRAMES))
        made.append(torch.cat(written[place : place + count]))
        place += count
    return made


def _wrong(found: Sequence[Tensor], pairs: Pairs) -> Measured:
    totals = [float((units != clean).sum()) for units, (_, clean) in zip(found, pairs, strict=True)]
    return Measured(totals=tuple(totals), sizes=tuple(float(len(clean)) for _, clean in pairs))


@lru_cache(maxsize=2)
def _pairs(speech: SpeechSet, seed: int) -> tuple[Pairs, Pairs]:
    """Pairs to learn from, in several noises each, and to measure with."""
    units = MelUnits(MelUnitsConfig(codebook_size=SIZE))
    waveforms = [row.waveform for row in speech.train]
    units.fit(waveforms, units.sample_rate, generator=torch.Generator().manual_seed(seed))
    random = np.random.default_rng(seed)

    def pairs(rows: Sequence[LabelledSpeech], copies: int) -> Pairs:
        found = []
        for row in rows:
            clean = units.encode(row.waveform[None])[0, 0]
            for _ in range(copies):
                noisy = damaged(row.waveform[0].numpy(), units.sample_rate, DAMAGE, random)
                found.append((units.encode(torch.from_numpy(noisy)[None, None])[0, 0], clean))
        return found

    return pairs(speech.train, COPIES), pairs(speech.test, 1)


EFFECTS = (
    Effect(
        name="gense_units",
        claim="A language model takes the noise out of units",
        paper="GenSE (Yao et al. 2025)",
        arms=ARMS,
        measure="units that are not those of the clean recording, unseen speakers",
        better="less",
        margin=0.02,
        breaks=("pairs shuffled",),
        run=run_units,
        note=(
            f"Units are k-means of log-mel frames ({SIZE}); noise of any colour is added at 0 to "
            "10 dB. The model of the third arm is shown the noisy units of other utterances: it "
            "knows how speech goes on, and nothing else. All write the likeliest units."
        ),
    ),
)
