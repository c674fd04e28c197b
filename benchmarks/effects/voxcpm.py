"""Effects: VoxCPM's bottleneck keeps errors from adding up, and parts content from voice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from effect import Effect, Measured, Setting
from effect_codec import frames_of
from effect_latents import (
    ARMS,
    FULL_STEPS,
    MELS,
    PATCH,
    QUICK_STEPS,
    Row,
    go_on,
    linear_probe,
    models,
    rows_of,
    states,
    wrong,
)
from torch import Tensor

from uslm.evaluation.metrics.drift import DriftConfig, drift
from uslm.systems.voxcpm.model import VoxCPM

HISTORY, AHEAD = 6, 6
"""Patches that are given, and patches that follow."""
NOISE = DriftConfig(noisy_steps=3, noise=0.5)
"""In the history; the frames have a deviation of one."""
BOTTLENECK = next(iter(ARMS))


def run_drift(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """How far speech after a noisy history is from speech after a clean one, from equal noise."""
    _, test, _ = rows_of(frames_of(setting.speech))
    texts = [row.text for row in test]
    clean = torch.stack([row.patches[:HISTORY] for row in test])
    found = {}
    for arm, model in models(setting, seed).items():

        def continued(history: Tensor, draw: torch.Generator, model: VoxCPM = model) -> Tensor:
            starts = torch.randn(AHEAD, len(texts), PATCH, MELS, generator=draw)
            return go_on(model, texts, history, starts)

        error = drift(continued, clean, NOISE, seed=seed)
        found[arm] = Measured(totals=tuple(error.mean(1).tolist()), sizes=(1.0,) * len(test))
    return found


def _features(
    setting: Setting, seed: int
) -> tuple[Sequence[Row], Sequence[Row], dict[str, tuple[list[Tensor], list[Tensor]]]]:
    """Rows to learn from and to measure with; of each, the states of either model, by name."""
    train, test, _ = rows_of(frames_of(setting.speech))
    model = models(setting, seed)[BOTTLENECK]
    learnt, asked = states(model, train), states(model, test)
    return train, test, {
        "bottleneck's output": (learnt[0], asked[0]),
        "residual model's states": (learnt[1], asked[1]),
    }  # fmt: skip


def run_content(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Phonemes in the states at each patch, of unseen speakers."""
    train, test, features = _features(setting, seed)
    labels = torch.cat([row.labels for row in train])
    asked = [row.labels for row in test]
    classes = int(max(labels.max(), *(each.max() for each in asked))) + 1
    shuffled = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    spoiled = setting.broken == "labels shuffled"
    found = {}
    for arm, (learnt, rows) in features.items():
        weights = linear_probe(torch.cat(learnt), shuffled if spoiled else labels, classes)
        found[arm] = wrong(weights, rows, asked)
    learnt, rows = features["bottleneck's output"]
    weights = linear_probe(torch.cat(learnt), shuffled, classes)
    found["labels of other patches"] = wrong(weights, rows, asked)
    return found


def run_voice(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Speakers in the mean state of an utterance; of each speaker every third is asked."""
    train, _, features = _features(setting, seed)
    names = sorted({row.speech.labels["speaker"] for row in train})
    speakers = torch.tensor([names.index(row.speech.labels["speaker"]) for row in train])
    order = [int((speakers[:i] == speakers[i]).sum()) for i in range(len(train))]
    asked = torch.tensor([place % 3 == 2 for place in order])
    draw = torch.Generator().manual_seed(seed)
    labels = speakers[~asked]
    shuffled = labels[torch.randperm(len(labels), generator=draw)]
    spoiled = setting.broken == "labels shuffled"
    found = {}
    for arm in ("residual model's states", "bottleneck's output"):
        means = torch.stack([x.mean(0) for x in features[arm][0]])
        weights = linear_probe(means[~asked], shuffled if spoiled else labels, len(names), 0.1)
        found[arm] = wrong(weights, list(means[asked][:, None]), list(speakers[asked][:, None]))
    means = torch.stack([x.mean(0) for x in features["residual model's states"][0]])
    weights = linear_probe(means[~asked], shuffled, len(names), 0.1)
    found["labels of other utterances"] = wrong(
        weights, list(means[asked][:, None]), list(speakers[asked][:, None])
    )
    return found


PAPER = "VoxCPM (Zhou et al. 2025)"
NOTE = (
    "A VoxCPM of some hundred thousand weights on patches of four log-mel frames, with a variance "
    f"of one, in place of a codec's latents, trained for {QUICK_STEPS} steps ({FULL_STEPS} without "
    "`--quick`)."
)
PROBE = " The probe is a linear regression to classes."
EFFECTS = (
    Effect(
        name="voxcpm_drift",
        claim="A scalar bottleneck keeps errors in the history from adding up",
        paper=PAPER,
        arms=tuple(ARMS),
        measure=(
            f"mean squared distance of {AHEAD} patches after a history whose last "
            f"{NOISE.noisy_steps} patches are noisy from those after the clean one, both from the "
            "same noise"
        ),
        better="less",
        margin=0.02,
        breaks=("no arm has one",),
        run=run_drift,
        note=NOTE,
    ),
    Effect(
        name="voxcpm_content",
        claim="What comes through the bottleneck knows the content better than the residual model",
        paper=PAPER,
        arms=("bottleneck's output", "residual model's states", "labels of other patches"),
        measure="patches whose phoneme is taken for another, unseen speakers",
        better="less",
        margin=0.02,
        breaks=("labels shuffled",),
        run=run_content,
        note=NOTE + PROBE,
    ),
    Effect(
        name="voxcpm_voice",
        claim="The residual model knows the voice better than what comes through the bottleneck",
        paper=PAPER,
        arms=("residual model's states", "bottleneck's output", "labels of other utterances"),
        measure="utterances whose speaker is taken for another, by the mean state",
        better="less",
        margin=0.02,
        breaks=("labels shuffled",),
        run=run_voice,
        note=NOTE + PROBE,
    ),
)
