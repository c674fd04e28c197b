"""Effects: a teacher distilled into the first level puts content there, and takes the voice out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import torch
import torch.nn.functional as F
from effect import Effect, Measured, Setting
from effect_codec import (
    CODES,
    Frames,
    MelCodec,
    crops,
    encode_frames,
    frames_of,
    levels,
    phoneme_errors,
    phoneme_teacher,
    train_codec,
)
from torch import Tensor

from uslm.evaluation.suites.downstream import probe_label
from uslm.evaluation.suites.encoded import EncodedSet
from uslm.evaluation.suites.probe import ProbeConfig
from uslm_tokenizer.objectives.distillation import distillation_loss
from uslm_tokenizer.quantize import kmeans
from uslm_tokenizer.quantize.base import Quantized

LEVELS = 3
WEIGHT = 4.0
"""Of the distillation beside the reconstruction, whose target has a variance of one."""
ARMS = ("distilled", "no teacher", "teacher of other speech", "pseudo-label")


def run_content(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Phonemes in the first level."""
    encoded = first_levels(setting, seed)
    return {arm: phoneme_errors(codes, setting, seed) for arm, codes in encoded.items()}


def run_voice(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Speakers in the first level."""
    config = ProbeConfig(
        dim=48, kernel_size=1, num_layers=1, steps=setting.steps(100, 600), learning_rate=1e-2
    )
    found = {}
    for arm, codes in first_levels(setting, seed).items():
        made = probe_label(codes, "speaker", config, seed=seed)
        found[arm] = Measured(totals=made.errors, sizes=made.questions)
    return found


def first_levels(setting: Setting, seed: int) -> Mapping[str, EncodedSet]:
    """The first level of each arm; both effects look at the same codecs."""
    cut = setting.broken == "gradient cut"
    return _first_levels(setting.speech, seed, setting.steps(120, 1500), cut)


@lru_cache(maxsize=8)
def _first_levels(speech: object, seed: int, steps: int, cut: bool) -> Mapping[str, EncodedSet]:
    frames = frames_of(speech)  # type: ignore[arg-type]
    targets = phoneme_teacher(frames, seed, steps)
    draw = torch.Generator().manual_seed(seed)
    centres = kmeans.fit(torch.cat(list(targets)), CODES, iterations=20, generator=draw)
    labels = [kmeans.nearest(rows, centres)[0] for rows in targets]
    return {
        arm: encode_frames(_train(arm, frames, targets, labels, seed, steps, cut), frames, 1)
        for arm in ARMS
    }


def _train(
    arm: str,
    frames: Frames,
    targets: list[Tensor],
    labels: list[Tensor],
    seed: int,
    steps: int,
    cut: bool,
) -> MelCodec:
    def more(
        codec: MelCodec, quantized: Quantized, x: Tensor, rows: list[int], starts: list[int]
    ) -> Tensor:
        level = quantized.levels[0].mT
        projected = codec.to_teacher(level.detach() if cut else level)
        if arm == "pseudo-label":
            wanted = crops(labels, rows, starts).flatten()
            return WEIGHT / 4 * F.cross_entropy(projected[..., :CODES].flatten(0, 1), wanted)
        features = crops(targets, rows, starts)
        if arm == "teacher of other speech":
            features = features.roll(1, 0)
        return WEIGHT * distillation_loss(projected[..., : features.shape[2]], features)

    return train_codec(
        levels(LEVELS),
        frames,
        seed,
        steps,
        more=None if arm == "no teacher" else more,
        teacher_dim=max(targets[0].shape[1], CODES),
    )


NOTE = (
    "The codec is one of log-mel frames, with three levels of 32 codes; the teacher was taught "
    "phonemes, so it is stronger than a self-supervised one."
)
EFFECTS = (
    Effect(
        name="distillation",
        claim="Distillation puts content into the first level",
        paper="SpeechTokenizer (Zhang et al. 2023)",
        arms=ARMS,
        measure="frames with a wrong phoneme, from the first level alone, unseen speakers",
        better="less",
        margin=0.05,
        breaks=("gradient cut", "labels shuffled"),
        run=run_content,
        note=NOTE,
    ),
    Effect(
        name="distillation_voice",
        claim="Distillation takes the voice out of the first level",
        paper="SpeechTokenizer (Zhang et al. 2023)",
        arms=ARMS,
        measure="utterances whose speaker is taken for another, from the first level alone",
        better="more",
        margin=0.02,
        breaks=("gradient cut",),
        run=run_voice,
        note=NOTE,
    ),
)
