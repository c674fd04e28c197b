"""Effect: with few steps, angles that begin large lead nearer to where many steps lead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from effect import Effect, Measured, Setting
from effect_codec import FRAME_RATE, MELS, frames_of, seeded
from torch import Tensor

from uslm.evaluation.suites.encoded import frame_labels
from uslm.evaluation.suites.speech_set import LabelledSpeech, vocabulary
from uslm.generate.flow import AnglePath, linear_angles, mirrored, uniform
from uslm.generate.latents import LatentSteps, fill_latents
from uslm.models.latent import LatentRow
from uslm.systems.melody.model import DualPath, DualPathConfig

CROP, BATCH = 48, 8
"""Frames of an utterance, from its beginning; utterances of a step."""
STEPS, MANY = 5, 100
"""Steps that are compared, and of the way that they are compared with."""


def run(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """MeLoDy's diffusion, small, of log-mel frames, with the phoneme of each frame as its unit."""
    frames = frames_of(setting.speech)
    symbols = vocabulary((*frames.speech.train, *frames.speech.test))

    def rows(speech: Sequence[LabelledSpeech], mels: Sequence[Tensor]) -> list[LatentRow]:
        return [
            LatentRow(
                units=frame_labels(each, len(x), FRAME_RATE, symbols)[:CROP], latents=x[:CROP]
            )
            for each, x in zip(speech, mels, strict=True)
            if len(x) >= CROP
        ]

    train, test = rows(frames.speech.train, frames.train), rows(frames.speech.test, frames.test)
    config = DualPathConfig(
        latent_dim=MELS, num_units=len(symbols) + 1, frames_per_unit=1.0, dim=64, num_heads=4,
        num_layers=2, segment_size=12, drop_rate=0.0,
    )  # fmt: skip
    model: DualPath = seeded(seed, lambda: DualPath(config)).train()
    model.fit(torch.cat([row.latents for row in train]))
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(setting.steps(200, 2500)):
        picked = [train[i] for i in torch.randint(len(train), (BATCH,), generator=draw)]
        optimizer.zero_grad()
        model.loss(model.batch(picked), draw).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    path = AnglePath()
    schedules = {
        "large steps first": linear_angles(STEPS),
        "steps of one length": uniform(path, STEPS),
        "large steps last": mirrored(path, linear_angles(STEPS)),
    }
    if setting.broken == "all of one length":
        schedules = dict.fromkeys(schedules, uniform(path, STEPS))
    asked = [LatentRow(units=row.units, latents=row.latents[:0]) for row in test]

    def made(places: Sequence[float]) -> Tensor:
        draws = [torch.Generator().manual_seed(1000 * seed + i) for i in range(len(asked))]
        how = LatentSteps(guidance=1.0)
        return torch.stack(fill_latents(model, asked, how, generators=draws, places=places))

    wanted = made(uniform(path, MANY))
    found = {}
    for arm, places in schedules.items():
        error = (made(places) - wanted).square().flatten(1)
        sizes = (float(error.shape[1]),) * len(error)
        found[arm] = Measured(totals=tuple(error.sum(1).tolist()), sizes=sizes)
    return found


EFFECTS = (
    Effect(
        name="melody_schedule",
        claim="Five steps whose angles begin large lead nearer than five of one length",
        paper="MeLoDy (Lam et al. 2023)",
        arms=("large steps first", "steps of one length", "large steps last"),
        measure=(
            f"mean squared distance of {STEPS} steps from where {MANY} lead from the same noise, "
            "in log-mel frames whose variance is one"
        ),
        better="less",
        margin=0.005,
        breaks=("all of one length",),
        run=run,
        note=(
            "A dual-path diffusion of some hundred thousand weights; the unit of a frame is its "
            "phoneme. The distance was named before it was run."
        ),
    ),
)
