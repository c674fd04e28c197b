"""Effects: imitation of a manner takes pace and pitch from the reference, and leaves the content.

Speech is made up of units here, without sound: a unit is a symbol at a pitch, a speaker has a pace
and a pitch of its own, and content units are the symbols with repeats dropped, as Vevo's are. The
language model, its rows and how it is drawn from are Vevo's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from effect import Effect, Measured, Setting
from effect_codec import seeded
from torch import Tensor

from uslm.generate.autoregressive import StopRule, speak_units
from uslm.generate.sampling import Sampling
from uslm.systems.vevo.lm import VevoLM, VevoLMConfig
from uslm_tokenizer.sequence.dedup import deduplicate
from uslm_tokenizer.sequence.edit_distance import edit_distance

SYMBOLS, PITCHES = 8, 8
PROMPT, LENGTH, BATCH = 4, 5, 16
"""Symbols of a prompt and of what is said; rows of a training step."""
OWN, REFERENCE, OTHER = "manner of the source", "manner of the reference", "manner of a third"
NO_CONTENT = "content of other speech"


@dataclass(frozen=True, kw_only=True, eq=False)
class Manner:
    """Pace and pitch of a speaker."""

    pace: float
    """Frames of a symbol."""
    pitch: float


def manner(draw: torch.Generator) -> Manner:
    """A speaker's."""
    pace, pitch = torch.rand(2, generator=draw).tolist()
    return Manner(pace=1.5 * 3.0**pace, pitch=1.0 + pitch * (PITCHES - 3))


def speech(symbols: Tensor, how: Manner, draw: torch.Generator) -> Tensor:
    """Units of symbols in a manner, each a little longer or shorter, higher or lower."""
    length, height = torch.randn(2, len(symbols), generator=draw)
    frames = (how.pace * (0.1 * length).exp()).round().clamp(min=1).long()
    pitches = (how.pitch + 0.4 * height).round().clamp(0, PITCHES - 1).long()
    return (symbols * PITCHES + pitches).repeat_interleave(frames)


def sentence(count: int, draw: torch.Generator) -> Tensor:
    """Symbols without repeats side by side."""
    steps = torch.randint(1, SYMBOLS, (count,), generator=draw)
    return steps.cumsum(0) % SYMBOLS


def content(units: Tensor) -> Tensor:
    """Content units: neither voice nor pace is left."""
    found: Tensor = deduplicate(units // PITCHES)[0]
    return found


@lru_cache(maxsize=8)
def conversions(
    seed: int, steps: int, count: int, broken: bool
) -> Mapping[str, Sequence[tuple[Tensor, Tensor, Manner]]]:
    """By arm what was said, what should have been, and the manner of the reference."""
    config = VevoLMConfig(
        text_vocab_size=SYMBOLS, codebook_size=SYMBOLS * PITCHES, dim=64, hidden_dim=128,
        num_heads=4, num_layers=2,
    )  # fmt: skip
    model: VevoLM = seeded(seed, lambda: VevoLM(config)).train()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        texts, rows, known = [], [], []
        for _ in range(BATCH):
            how = manner(draw)
            before, after = sentence(PROMPT, draw), sentence(LENGTH, draw)
            prompt, said = speech(before, how, draw), speech(after, how, draw)
            texts.append(torch.cat([content(prompt), content(said)]))
            rows.append(torch.cat([prompt, said]))
            known.append(len(prompt))
        optimizer.zero_grad()
        model.loss(model.batch(texts, rows, predict_from=known)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    draw = torch.Generator().manual_seed(1000 + seed)
    found: dict[str, list[tuple[Tensor, Tensor, Manner]]] = {
        arm: [] for arm in (REFERENCE, OWN, OTHER, NO_CONTENT)
    }
    for number in range(count):
        source, reference, third = (manner(draw) for _ in range(3))
        said, wrong = sentence(LENGTH, draw), sentence(LENGTH, draw)
        prompts = {
            arm: speech(sentence(PROMPT, draw), how, draw)
            for arm, how in ((REFERENCE, reference), (OWN, source), (OTHER, third))
        }
        prompts[NO_CONTENT] = prompts[REFERENCE]
        if broken:
            prompts[REFERENCE] = prompts[OTHER]
        for arm, prompt in prompts.items():
            asked = content(speech(wrong if arm == NO_CONTENT else said, source, draw))
            text = torch.cat([content(prompt), asked])
            for [row] in speak_units(
                model, [text], [prompt], [StopRule(min_frames=LENGTH, max_frames=12 * LENGTH)],
                sampling=Sampling(temperature=0.8, top_k=50, top_p=0.9),
                generators=[torch.Generator().manual_seed(number)],
            ):  # fmt: skip
                made = row
            found[arm].append((made.tensor(), said, reference))
    return found


def _conversions(
    setting: Setting, seed: int
) -> Mapping[str, Sequence[tuple[Tensor, Tensor, Manner]]]:
    broken = setting.broken == "prompts of a third"
    return conversions(seed, setting.steps(1200, 4000), setting.num_test, broken)


def run_pace(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """How far the pace is from the reference's, as a share."""
    return {
        arm: Measured(
            totals=tuple(
                abs(math.log(len(units) / max(1, len(content(units))) / how.pace))
                for units, _, how in rows
            ),
            sizes=(1.0,) * len(rows),
        )
        for arm, rows in _conversions(setting, seed).items()
        if arm != NO_CONTENT
    }


def run_pitch(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """How far the mean pitch is from the reference's."""
    return {
        arm: Measured(
            totals=tuple(
                abs(float((units % PITCHES).float().mean()) - how.pitch) for units, _, how in rows
            ),
            sizes=(1.0,) * len(rows),
        )
        for arm, rows in _conversions(setting, seed).items()
        if arm != NO_CONTENT
    }


def run_content(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Symbols that are said wrong."""
    found, rows_by_arm = {}, dict(_conversions(setting, seed))
    if setting.broken == "all of other speech":
        rows_by_arm[REFERENCE] = rows_by_arm[NO_CONTENT]
    for arm, rows in rows_by_arm.items():
        totals = [
            float(edit_distance(content(units).tolist(), said.tolist())) for units, said, _ in rows
        ]
        found[arm] = Measured(totals=tuple(totals), sizes=(float(LENGTH),) * len(rows))
    noise = torch.Generator().manual_seed(seed)
    chance = [
        float(edit_distance(sentence(LENGTH, noise).tolist(), said.tolist()))
        for _, said, _ in _conversions(setting, seed)[REFERENCE]
    ]
    by_chance = Measured(totals=tuple(chance), sizes=(float(LENGTH),) * len(chance))
    return {
        REFERENCE: found[REFERENCE], NO_CONTENT: found[NO_CONTENT], "by chance": by_chance,
        OWN: found[OWN],
    }  # fmt: skip


PAPER = "Vevo (Zhang et al. 2025)"
NOTE = (
    "Units are made up, without sound: a symbol at a pitch, each speaker with a pace and a pitch "
    "of its own. The language model is Vevo's, with two layers; no speaker of the test was in "
    "training."
)
EFFECTS = (
    Effect(
        name="vevo_pace",
        claim="Imitation of a manner moves the speaking rate to the reference's",
        paper=PAPER,
        arms=(REFERENCE, OWN, OTHER),
        measure="distance of the pace from the reference's, in natural logarithms",
        better="less",
        margin=0.05,
        breaks=("prompts of a third",),
        run=run_pace,
        uses_speech=False,
        note=NOTE,
    ),
    Effect(
        name="vevo_pitch",
        claim="Imitation of a manner moves the mean pitch to the reference's",
        paper=PAPER,
        arms=(REFERENCE, OWN, OTHER),
        measure=f"distance of the mean pitch from the reference's, in steps of {PITCHES}",
        better="less",
        margin=0.2,
        breaks=("prompts of a third",),
        run=run_pitch,
        uses_speech=False,
        note=NOTE,
    ),
    Effect(
        name="vevo_style_content",
        claim="Imitation of another's manner says what the source says",
        paper=PAPER,
        arms=(REFERENCE, NO_CONTENT, "by chance", OWN),
        measure="symbols that are said wrong, by edit distance",
        better="less",
        margin=0.1,
        breaks=("all of other speech",),
        run=run_content,
        uses_speech=False,
        note=NOTE + " The last arm, the source's own manner, tells what imitation costs.",
    ),
)
