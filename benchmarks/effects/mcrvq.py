"""Effect: channels masked for the first levels keep the first from taking most for itself."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from effect import Effect, Measured, Setting
from effect_codec import Frames, MelCodec, frames_of, levels, train_codec

from uslm_tokenizer.quantize.mcrvq import MaskedChannelQuantizerConfig

COUNT, PARALLEL = 6, 3
"""Levels, and how many of them stand side by side."""


def run(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Same levels, start and batches; only what the first ones see differs."""
    frames, steps = frames_of(setting.speech), setting.steps(120, 1500)
    plain = levels(COUNT)
    masked = MaskedChannelQuantizerConfig(
        levels=plain.levels, num_parallel=PARALLEL, min_levels=PARALLEL, dropout=0.0
    )
    unmasked = MaskedChannelQuantizerConfig(
        levels=plain.levels, num_parallel=1, min_levels=PARALLEL, dropout=0.0
    )
    arms = {
        "masked channels": unmasked if setting.broken == "nothing masked" else masked,
        "residual": plain,
        "masked channels, but in one share": unmasked,
    }
    return {
        arm: _first_share(train_codec(config, frames, seed, steps), frames)
        for arm, config in arms.items()
    }


@torch.no_grad()
def _first_share(codec: MelCodec, frames: Frames) -> Measured:
    """Of each utterance: the error that the first level alone takes from the latents, and that
    which all levels take."""
    first, every = [], []
    for x in frames.test:
        latents = codec.encoder(x.T[None])
        quantized = codec.quantizer(latents)
        whole = float(latents.square().sum())
        first.append(whole - float((latents - quantized.levels[0]).square().sum()))
        every.append(whole - float((latents - quantized.latents).square().sum()))
    return Measured(totals=tuple(first), sizes=tuple(every))


EFFECTS = (
    Effect(
        name="mcrvq",
        claim="Masked channels even out the levels",
        paper="Language-Codec (Ji et al. 2024)",
        arms=("masked channels", "residual", "masked channels, but in one share"),
        measure="what the first of six levels explains of the latents, as a share of what all do",
        better="less",
        margin=0.05,
        breaks=("nothing masked",),
        run=run,
        note="The codec is one of log-mel frames, with levels of 32 codes.",
    ),
)
