"""Effect: a language model of patches tells the true end of an utterance from another's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from effect import Effect, Measured, Setting
from torch import Tensor

from uslm.evaluation.suites.baseline import MelUnits, MelUnitsConfig
from uslm.evaluation.suites.speech_set import SAMPLE_RATE
from uslm.models.spans import Span
from uslm.systems.lst.model import PatchLM, PatchLMConfig

UNITS, PATCH, WINDOW = 64, 4, 8
REACH = 3 * (WINDOW - 1)
"""Units that three local layers look back over: what is further away they cannot know."""
OTHERS = 6
"""False ends of each utterance."""
SHAPE = PatchLMConfig(
    codebook_size=UNITS, patch_size=PATCH, local_dim=48, local_heads=2, window=WINDOW, dim=96,
    num_heads=4, num_layers=3, dropout=0.1,
)  # fmt: skip
ARMS = {
    "patches of 4": SHAPE,
    "patches of 1": replace(SHAPE, patch_size=1),
    "patches of 4, no global model": replace(SHAPE, use_global=False),
}


def run(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """One model an arm, on the same k-means units in the same order."""
    units = MelUnits(MelUnitsConfig(num_mels=40, codebook_size=UNITS))
    train, test = setting.speech.train, setting.speech.test
    draw = torch.Generator().manual_seed(seed)
    units.fit([row.waveform for row in train], SAMPLE_RATE, generator=draw)
    rows = [units.encode(row.waveform[None])[0, 0] for row in train]
    held_out = [units.encode(row.waveform[None])[0, 0] for row in test]
    return {
        arm: _score(_trained(setting, seed, arm, config, rows), held_out)
        for arm, config in ARMS.items()
    }


def _trained(
    setting: Setting, seed: int, arm: str, config: PatchLMConfig, rows: Sequence[Tensor]
) -> PatchLM:
    if setting.broken == "global model cut off":
        config = replace(config, use_global=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = PatchLM(config).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.1)
        draw = torch.Generator().manual_seed(seed)
        steps = setting.steps(300, 2000)
        for step in range(steps):
            picks = torch.randint(len(rows), (8,), generator=draw).tolist()
            loss = model.loss(model.batch([[Span("speech", rows[i])] for i in picks]))
            optimizer.param_groups[0]["lr"] = 2e-3 * min(1.0, (step + 1) / 30, 2 - 2 * step / steps)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    return model.eval()


@torch.no_grad()
def _score(model: PatchLM, held_out: Sequence[Tensor]) -> Measured:
    """Of each utterance, how many false ends are less likely than its own.

    Only units count that lie further after the joint than the local layers look back.
    """
    rows = [row for row in held_out if len(row) >= 2 * (REACH + 12)]
    totals, sizes = [], []
    for place, row in enumerate(rows):
        middle = len(row) // 2 // PATCH * PATCH
        others = [rows[(place + 1 + i * len(rows) // OTHERS) % len(rows)] for i in range(OTHERS)]
        others = [other for other in others if other is not row]
        ends = [row[middle:], *(other[len(other) // 2 // PATCH * PATCH :] for other in others)]
        count = min(len(end) for end in ends)
        pairs = [[Span("speech", torch.cat([row[:middle], end[:count]]))] for end in ends]
        losses = model.token_losses(model.batch(pairs))[:, middle + REACH : middle + count]
        true, *false = losses.sum(1).tolist()
        totals.append(sum(float(true < each) + 0.5 * float(true == each) for each in false))
        sizes.append(float(len(false)))
    return Measured(totals=tuple(totals), sizes=tuple(sizes))


EFFECTS = (
    Effect(
        name="lst_patches",
        claim="Patches of four units know more of what is far, at a quarter of the positions",
        paper="LST (Lu et al. 2025)",
        arms=tuple(ARMS),
        measure="share of false ends that are less likely than the true one, by units further "
        f"after the joint than the {REACH} that local layers see",
        better="more",
        margin=0.02,
        breaks=("global model cut off",),
        run=run,
    ),
)
