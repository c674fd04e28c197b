"""Effects: the size of a codebook decides how much of the voice, and of the content, it lets by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import torch
from effect import Effect, Measured, Setting
from effect_codec import BATCH, frames_of, phoneme_errors
from effect_repcodec import repcodec_codes, trained_repcodec

from uslm.evaluation.suites.downstream import probe_label
from uslm.evaluation.suites.encoded import EncodedSet, EncodedSpeech
from uslm.evaluation.suites.probe import ProbeConfig

SIZES = (512, 8, 32, 128)
"""Entries of the codebook; the first two are compared."""
NOISE = f"K = {SIZES[0]}, codes drawn by their frequency"


def codes_of(setting: Setting, seed: int) -> Mapping[str, EncodedSet]:
    """A RepCodec of each size, of the same features; broken, all have the smallest."""
    sizes = (SIZES[1],) * len(SIZES) if setting.broken == "all of one size" else SIZES
    found = {
        f"K = {name}": _codes(setting.speech, seed, setting.steps(150, 1500), size)
        for name, size in zip(SIZES, sizes, strict=True)
    }
    return {**found, NOISE: _drawn(found[f"K = {SIZES[0]}"], seed)}


def _drawn(encoded: EncodedSet, seed: int) -> EncodedSet:
    """As many codes as often, that say nothing."""
    draw = torch.Generator().manual_seed(seed)
    pool = torch.cat([row.codes[0] for row in encoded.train])

    def rows(given: tuple[EncodedSpeech, ...]) -> tuple[EncodedSpeech, ...]:
        return tuple(
            EncodedSpeech(
                codes=pool[torch.randint(len(pool), row.codes.shape, generator=draw)],
                speech=row.speech,
            )
            for row in given
        )

    return replace(encoded, train=rows(encoded.train), test=rows(encoded.test))


@lru_cache(maxsize=32)
def _codes(speech: object, seed: int, steps: int, size: int) -> EncodedSet:
    frames = frames_of(speech)  # type: ignore[arg-type]
    return repcodec_codes(trained_repcodec(speech, seed, steps, size), frames)


def run_voice(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Speakers in the codes."""
    config = ProbeConfig(
        dim=48, kernel_size=1, num_layers=1, steps=setting.steps(100, 600), learning_rate=1e-2,
        batch_size=2 * BATCH,
    )  # fmt: skip
    found = {}
    for arm, codes in codes_of(setting, seed).items():
        made = probe_label(codes, "speaker", config, seed=seed)
        found[arm] = Measured(totals=made.errors, sizes=made.questions)
    return {arm: found[arm] for arm in ARMS}


def run_content(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Phonemes in the codes."""
    found = {
        arm: phoneme_errors(codes, setting, seed) for arm, codes in codes_of(setting, seed).items()
    }
    return {arm: found[arm] for arm in ARMS}


ARMS = (f"K = {SIZES[0]}", f"K = {SIZES[1]}", NOISE, *(f"K = {size}" for size in SIZES[2:]))
NOTE = "The features are log-mel frames, less their mean over the utterance; the codec is RepCodec."
EFFECTS = (
    Effect(
        name="bottleneck_voice",
        claim="A larger codebook lets more of the voice by",
        paper="Vevo (Zhang et al. 2025)",
        arms=ARMS,
        measure="utterances whose speaker is taken for another, from the units",
        better="less",
        margin=0.03,
        breaks=("all of one size",),
        run=run_voice,
        note=NOTE,
    ),
    Effect(
        name="bottleneck_content",
        claim="A larger codebook lets more of the content by",
        paper="Vevo (Zhang et al. 2025)",
        arms=ARMS,
        measure="frames with a wrong phoneme, from the units, unseen speakers",
        better="less",
        margin=0.05,
        breaks=("all of one size", "labels shuffled"),
        run=run_content,
        note=NOTE + " Vevo's own claim is that content saturates: see the arms between.",
    ),
)
