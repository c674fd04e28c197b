"""Effect: patches make a speech language model cheaper, in time as in operations counted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import torch
from effect import Effect, Measured, Setting

from uslm.models.spans import Span
from uslm.systems.lst.cost import patch_lm_flops
from uslm.systems.lst.model import PatchLM, PatchLMConfig

FRAME_RATE, SECONDS, ROWS = 50, 10, 4
"""Units per second; seconds of a row; rows of a batch."""
SHAPE = PatchLMConfig(
    codebook_size=1024, patch_size=4, local_dim=64, local_heads=2, num_decoder_layers=1, window=32,
    dim=256, num_heads=4, num_layers=6,
)  # fmt: skip
ARMS = {
    "patches of 4": SHAPE,
    "patches of 1": replace(SHAPE, patch_size=1),
    "patches of 2": replace(SHAPE, patch_size=2),
}


def run(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Processor time of training steps of each arm, one after the other in turn."""
    models = {}
    for arm, config in ARMS.items():
        if setting.broken == "patches of one unit":
            config = replace(config, patch_size=1)
        models[arm] = PatchLM(config).train()
    draw = torch.Generator().manual_seed(seed)
    times: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for repeat in range(1 + setting.steps(6, 20)):
        shape = (ROWS, FRAME_RATE * SECONDS)
        units = torch.randint(SHAPE.codebook_size, shape, generator=draw)
        for arm, model in models.items():
            batch = model.batch([[Span("speech", row)] for row in units])
            begin = time.process_time()
            model.loss(batch).backward()  # type: ignore[no-untyped-call]
            if repeat:  # the first one warms up
                times[arm].append(1000 * (time.process_time() - begin))
    size = float(ROWS * SECONDS)
    return {
        arm: Measured(totals=tuple(found), sizes=(size,) * len(found))
        for arm, found in times.items()
    }


def mflops(config: PatchLMConfig) -> float:
    """Millions of operations for a second of a row, read once."""
    tokens = FRAME_RATE * SECONDS
    return patch_lm_flops(config, tokens, -(-tokens // config.patch_size)) / SECONDS / 1e6


EFFECTS = (
    Effect(
        name="lst_cost",
        claim="Patches of four units make a second of speech cheaper",
        paper="LST (Lu et al. 2025)",
        arms=tuple(ARMS),
        measure="milliseconds of the processor for a second of speech, forward and back",
        better="less",
        margin=0.5,
        breaks=("patches of one unit",),
        run=run,
        uses_speech=False,
        note="Six layers of width 256 read patches, one of width 64 units. Operations counted, of "
        "a second read once: "
        + ", ".join(f"{mflops(config):.0f} million in {arm}" for arm, config in ARMS.items())
        + ".",
    ),
)
