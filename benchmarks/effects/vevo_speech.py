"""Effects: style conversion of real speech takes pace and pitch from a reference, not content."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from effect import Effect, Measured, Setting
from effect_manner import (
    CONTENT_SIZE,
    FULL_STEPS,
    MADE_UP_SPAN,
    NO_CONTENT,
    OTHER,
    OWN,
    QUICK_STEPS,
    REFERENCE,
    REFERENCES,
    SPAN,
    STYLE_SIZE,
    Conversions,
    Said,
    conversions,
)

from uslm_tokenizer.sequence.edit_distance import edit_distance

FLOOR = "the reference's own units"
CHANCE = "content of another span"


def _conversions(setting: Setting, seed: int) -> Conversions:
    broken = setting.broken == "prompts of a third"
    return conversions(
        setting.speech,
        seed,
        steps=setting.steps(QUICK_STEPS, FULL_STEPS),
        codec_steps=setting.steps(150, 1500),
        span=MADE_UP_SPAN if setting.corpus is None else SPAN,
        broken=broken,
    )


def _by_source(
    rows: Sequence[Said], total: Callable[[Said], float], size: Callable[[Said], float]
) -> Measured:
    """All conversions of a source are one item: they are no more independent than that."""
    totals, sizes = ([0.0] * (1 + max(each.source for each in rows)) for _ in range(2))
    for each in rows:
        totals[each.source] += total(each)
        sizes[each.source] += size(each)
    return Measured(totals=tuple(totals), sizes=tuple(sizes))


def _distances(rows: Sequence[Said], distance: Callable[[Said], float]) -> Measured:
    return _by_source(rows, distance, lambda _: 1.0)


def run_pace(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """How far the pace is from the reference's."""

    def distance(each: Said) -> float:
        pace = max(1, len(each.units)) / each.num_phonemes
        return abs(math.log(pace / each.reference.pace))

    by_arm = _conversions(setting, seed).by_arm
    return {arm: _distances(by_arm[arm], distance) for arm in (REFERENCE, OWN, OTHER)}


def run_pitch(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """How far the mean pitch is from the reference's."""
    found = _conversions(setting, seed)

    def wanted(each: Said) -> float:
        return float(each.reference.f0[each.reference.f0 > 0].mean())

    def distance(each: Said) -> float:
        return abs(found.pitch(each.units) - wanted(each))

    def least(each: Said) -> float:
        return abs(found.pitch(each.reference.style) - wanted(each))

    arms = {arm: _distances(found.by_arm[arm], distance) for arm in (REFERENCE, OWN, OTHER)}
    return {**arms, FLOOR: _distances(found.by_arm[REFERENCE], least)}


def run_content(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Content units that are said wrong."""
    found = _conversions(setting, seed)
    rows = dict(found.by_arm)
    if setting.broken == "all of other speech":
        rows[REFERENCE] = rows[NO_CONTENT]

    def wrong(each: Said) -> float:
        return float(edit_distance(found.said(each.units).tolist(), each.content.tolist()))

    def errors(rows: Sequence[Said], wrong: Callable[[Said], float]) -> Measured:
        return _by_source(rows, wrong, lambda each: float(len(each.content)))

    others = {each.source: each.content.tolist() for each in rows[OWN]}

    def by_chance(each: Said) -> float:
        other = others[(each.source + 1) % len(others)]
        return float(edit_distance(other, each.content.tolist()))

    return {
        REFERENCE: errors(rows[REFERENCE], wrong),
        NO_CONTENT: errors(rows[NO_CONTENT], wrong),
        CHANCE: errors(rows[OWN], by_chance),
        OWN: errors(rows[OWN], wrong),
    }


PAPER = "Vevo (Zhang et al. 2025)"
NOTE = (
    f"Real speech in units of two tokenizers that were trained here, RepCodecs of log-mel frames "
    f"less their mean with {CONTENT_SIZE} and {STYLE_SIZE} codes; the language model is Vevo's, "
    f"with two layers and {QUICK_STEPS} training steps ({FULL_STEPS} without `--quick`). It says "
    f"{SPAN} frames of each source anew in the manner of {REFERENCES} others, after {SPAN} "
    "frames of a prompt; no speaker of the test was in training. There is no sound: "
)
READ = "Pace and pitch mean little while `vevo_speech_content` does not show."
QUICK_SIZES = (1200, 160)
"""Of fewer utterances the language model learns them by heart, and is worse on others."""
EFFECTS = (
    Effect(
        name="vevo_speech_pace",
        claim="Style conversion of real speech moves the speaking rate to the reference's",
        paper=PAPER,
        arms=(REFERENCE, OWN, OTHER),
        measure=(
            "distance of the frames that a phoneme of the source takes from those of the "
            "reference's, in natural logarithms"
        ),
        better="less",
        margin=0.05,
        breaks=("prompts of a third",),
        quick_sizes=QUICK_SIZES,
        run=run_pace,
        note=NOTE + "pace is the length in units. " + READ,
    ),
    Effect(
        name="vevo_speech_pitch",
        claim="Style conversion of real speech moves the mean pitch to the reference's",
        paper=PAPER,
        arms=(REFERENCE, OWN, OTHER, FLOOR),
        measure="distance of the mean pitch from the reference's, in semitones",
        better="less",
        margin=0.3,
        breaks=("prompts of a third",),
        quick_sizes=QUICK_SIZES,
        run=run_pitch,
        note=NOTE
        + "the pitch of a unit is the mean F0 of its frames in training. The last arm tells how "
        "far such pitches are from the reference's F0 where its units are its own. " + READ,
    ),
    Effect(
        name="vevo_speech_content",
        claim="Style conversion of real speech says what the source says",
        paper=PAPER,
        arms=(REFERENCE, NO_CONTENT, CHANCE, OWN),
        measure="content units that are said wrong, by edit distance",
        better="less",
        margin=0.1,
        breaks=("all of other speech",),
        quick_sizes=QUICK_SIZES,
        run=run_content,
        note=NOTE
        + "what is said is decoded to frames and read by the content tokenizer. The last arm, the "
        "source's own manner, tells what imitation costs.",
    ),
)
