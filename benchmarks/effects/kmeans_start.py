"""Effect: a codebook that starts from k-means of the data is used, a random one is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from effect import Effect, Measured, Setting
from torch import Tensor

from uslm.evaluation.suites.baseline import MelUnits, MelUnitsConfig
from uslm.evaluation.suites.speech_set import LabelledSpeech
from uslm_tokenizer.quantize.vq import VectorQuantizer, VectorQuantizerConfig

BATCH = 512
"""Frames of a step."""


def run(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """One codebook an arm, trained by moving averages on frozen log-mel frames; no code is ever
    reset, so that only the start differs."""
    draw = torch.Generator().manual_seed(seed)
    mel = MelUnits(MelUnitsConfig(num_mels=40))
    train, test = (_features(mel, rows) for rows in (setting.speech.train, setting.speech.test))
    frames = torch.cat(train)
    size = min(256 if setting.quick else 2048, len(frames) // 8)
    scale = frames.std(0)
    mixed = torch.stack([d[torch.randperm(len(d), generator=draw)] for d in frames.T], 1)
    starts = {"k-means start": frames, "random start": None, "k-means of mixed dimensions": mixed}
    found = {}
    for arm, start in starts.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            config = VectorQuantizerConfig(
                dim=40, codebook_size=size, dead_share=0.0, smoothing=1e-5
            )
            quantizer = VectorQuantizer(config)
        if start is not None:
            points = start[torch.randperm(len(start), generator=draw)[: 16 * size]]
            quantizer.initialize(points.T[None], generator=torch.Generator().manual_seed(seed))
        if start is None or setting.broken == "start forgotten":
            noise = torch.randn(size, 40, generator=torch.Generator().manual_seed(seed))
            quantizer.embedding.copy_(noise * scale)
            quantizer.cluster_size.fill_(1)
            quantizer.running_sum.copy_(quantizer.embedding)
        quantizer.train()
        order = torch.Generator().manual_seed(seed)
        for _ in range(setting.steps(60, 400)):
            batch = frames[torch.randint(len(frames), (BATCH,), generator=order)]
            quantizer(batch.T[None], generator=order)
        found[arm] = _used(quantizer.eval(), test)
    return found


def _features(mel: MelUnits, rows: Sequence[LabelledSpeech]) -> list[Tensor]:
    return [mel.features(row.waveform[None])[0] for row in rows]


def _used(quantizer: VectorQuantizer, test: Sequence[Tensor]) -> Measured:
    """Of each held-out utterance: different codes, for each frame that could have another."""
    totals, sizes = [], []
    for frames in test:
        codes = quantizer.encode(frames.T[None])
        totals.append(float(len(codes.unique())))
        sizes.append(float(min(len(frames), quantizer.codebook_size)))
    return Measured(totals=tuple(totals), sizes=tuple(sizes))


EFFECTS = (
    Effect(
        name="kmeans_start",
        claim="A k-means start fills a large codebook",
        paper="WavTokenizer (Ji et al. 2024)",
        arms=("k-means start", "random start", "k-means of mixed dimensions"),
        measure="different codes in a held-out utterance, for each frame",
        better="more",
        margin=0.02,
        breaks=("start forgotten",),
        run=run,
    ),
)
