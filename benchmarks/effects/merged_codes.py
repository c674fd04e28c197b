"""Effect: merging the codes of the first level costs little, as the levels above make up for it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from effect import Effect, Measured, Setting
from torch import Tensor

from uslm.evaluation.suites.baseline import MelUnits, MelUnitsConfig
from uslm_tokenizer.quantize.merge import hold
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig

NUM_LEVELS, CODEBOOK_SIZE = 8, 64
MERGE = 2
"""Frames that share a code."""


def run(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """One residual stack, whose codebooks are k-means of log-mel frames; the arms code with it."""
    mel = MelUnits(MelUnitsConfig(num_mels=40))
    train, test = (
        [mel.features(row.waveform[None])[0].T[None] for row in rows]
        for rows in (setting.speech.train, setting.speech.test)
    )
    level = VectorQuantizerConfig(dim=40, codebook_size=CODEBOOK_SIZE)
    config = ResidualQuantizerConfig(levels=(level,) * NUM_LEVELS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        quantizer = ResidualQuantizer(config).eval()
    draw = torch.Generator().manual_seed(seed)
    frames = torch.cat(train, dim=2)
    some = torch.randperm(frames.shape[2], generator=draw)[: 200 * CODEBOOK_SIZE]
    quantizer.initialize(frames[..., some], generator=draw)
    mean = frames.mean(dim=2, keepdim=True)
    first = (MERGE,) + (1,) * (NUM_LEVELS - 1)

    def tied_afterwards(x: Tensor) -> Tensor:
        codes = quantizer.encode(x)
        codes[:, :1] = hold(codes[:, :1, ::MERGE], MERGE, x.shape[2])
        return codes

    def first_codebook(x: Tensor) -> Tensor:
        if setting.broken == "levels above not told":
            return tied_afterwards(x)
        return quantizer.merged(first).encode(x)

    arms = {
        "first level merged": first_codebook,
        "all levels merged": quantizer.merged((MERGE,) * NUM_LEVELS).encode,
        "first level tied afterwards": tied_afterwards,
        "nothing merged": quantizer.encode,
    }
    found = {}
    for arm, encode in arms.items():
        errors = [float((quantizer.decode(encode(x)) - x).square().sum()) for x in test]
        sizes = [float((x - mean).square().sum()) for x in test]
        found[arm] = Measured(totals=tuple(errors), sizes=tuple(sizes))
    return found


EFFECTS = (
    Effect(
        name="merged_codes",
        claim="Merging the codes of the first level alone costs less than merging those of all",
        paper="VALL-E R (Han et al. 2024)",
        arms=(
            "first level merged",
            "all levels merged",
            "first level tied afterwards",
            "nothing merged",
        ),
        measure="squared error of held-out log-mel frames, as a share of their variance",
        better="less",
        margin=0.002,
        breaks=("levels above not told",),
        run=run,
        note=(
            "Merging halves the steps of a language model of the first level. In the control its "
            "codes are tied once all levels are coded, which saves as many steps. The codec is a "
            "residual stack of log-mel frames, not one of waveforms."
        ),
    ),
)
