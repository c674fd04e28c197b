"""Effect: where the first level is distilled, levels beside it reconstruct better than above it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from effect import Effect, Measured, Setting
from effect_codec import (
    Frames,
    MelCodec,
    More,
    crops,
    frames_of,
    levels,
    phoneme_teacher,
    train_codec,
)
from torch import Tensor

from uslm_tokenizer.objectives.distillation import distillation_loss
from uslm_tokenizer.quantize.base import Quantized
from uslm_tokenizer.quantize.split import SplitQuantizerConfig

LEVELS = 4
WEIGHT = 4.0
"""Of the distillation beside the reconstruction, whose target has a variance of one."""
ARMS = (
    "split, distilled",
    "plain, distilled",
    "plain, teacher of other speech",
    "split, no teacher",
    "plain, no teacher",
)


def run(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Same levels, start, batches and teacher; broken, the split arms are plain."""
    frames, steps = frames_of(setting.speech), setting.steps(120, 1500)
    targets = phoneme_teacher(frames, seed, steps)

    def more_of(others: bool) -> More:
        def more(
            codec: MelCodec, quantized: Quantized, x: Tensor, rows: list[int], starts: list[int]
        ) -> Tensor:
            features = crops(targets, rows, starts)
            projected = codec.to_teacher(quantized.levels[0].mT)
            return WEIGHT * distillation_loss(
                projected, features.roll(1, 0) if others else features
            )

        return more

    plain = levels(LEVELS)
    split = SplitQuantizerConfig(semantic=levels(1), acoustic=levels(LEVELS - 1))
    found = {}
    for arm in ARMS:
        beside = arm.startswith("split") and setting.broken != "levels above"
        codec = train_codec(
            split if beside else plain,
            frames,
            seed,
            steps,
            more=None if "no teacher" in arm else more_of("other" in arm),
            teacher_dim=targets[0].shape[1],
        )
        found[arm] = _errors(codec, frames)
    return found


@torch.no_grad()
def _errors(codec: MelCodec, frames: Frames) -> Measured:
    """Squared errors and values of each utterance."""
    wrong, values = [], []
    for x in frames.test:
        latents = codec.quantizer.decode(codec.quantizer.encode(codec.encoder(x.T[None])))
        wrong.append(float((codec.decoder(latents)[0].T - x).square().sum()))
        values.append(float(x.numel()))
    return Measured(totals=tuple(wrong), sizes=tuple(values))


EFFECTS = (
    Effect(
        name="split_rvq",
        claim="Where the first level is distilled, a split quantizer reconstructs better",
        paper="Mimi (Defossez et al. 2024)",
        arms=ARMS,
        measure="mean squared error of log-mel frames whose variance is one, unseen speakers",
        better="less",
        margin=0.005,
        breaks=("levels above",),
        run=run,
        note="Four levels of 32 codes. The two arms without a teacher tell what splitting costs.",
    ),
)
