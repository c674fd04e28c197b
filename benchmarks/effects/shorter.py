"""Effects of shorter sequences: runs dropped, neighbours merged, against cuts that do not look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from effect import Effect, Measured, Setting
from torch import Tensor

from uslm.evaluation.suites.alignment import align_text
from uslm.evaluation.suites.baseline import MelUnits, MelUnitsConfig
from uslm.evaluation.suites.compression import code_vectors, compressor
from uslm.evaluation.suites.downstream import probe_phonemes
from uslm.evaluation.suites.encoded import EncodedSet, EncodedSpeech, encode_set
from uslm.evaluation.suites.probe import ProbeConfig
from uslm_tokenizer.sequence.dedup import deduplicate

KEPT = 0.5
MERGING = ("merging", "pooling", "random merging")
DROPPING = ("runs once", "every n-th", "random frames")


def _units(setting: Setting, seed: int) -> EncodedSet:
    tokenizer = MelUnits(MelUnitsConfig(codebook_size=64)).eval()
    draw = torch.Generator().manual_seed(seed)
    tokenizer.fit([each.waveform for each in setting.speech.train], 16_000, generator=draw)
    return encode_set("log-mel k-means", tokenizer, setting.speech)


def run_merging(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """A probe of phonemes for each way to keep half of the tokens."""
    encoded = _units(setting, seed)
    guide = code_vectors(encoded)
    config = ProbeConfig(dim=48, steps=setting.steps(100, 800), learning_rate=1e-2)
    found = {}
    for way in MERGING:
        made = probe_phonemes(
            encoded,
            config,
            seed=seed,
            compressor=compressor(way, KEPT, guide, config, seed=seed),
            shuffle_labels=setting.broken == "labels shuffled",
        )
        found[way] = Measured(totals=made.errors, sizes=made.questions)
    return found


def run_dropping(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """A CTC probe of phonemes for each way to come to as many tokens as there are runs."""
    encoded = _units(setting, seed)
    draw = torch.Generator().manual_seed(seed)
    config = ProbeConfig(dim=64, steps=setting.steps(150, 1000), learning_rate=8e-3)
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "runs once": lambda codes: deduplicate(codes)[0],
        "every n-th": lambda codes: codes[_evenly(codes)],
        "random frames": lambda codes: codes[
            torch.randperm(len(codes), generator=draw)[: len(_evenly(codes))].sort()[0]
        ],
    }
    found = {}
    for name, way in ways.items():
        shorter = _shortened(encoded, way)
        made = align_text(
            shorter, config, seed=seed, shuffle_text=setting.broken == "text shuffled"
        )
        found[name] = Measured(totals=made.errors, sizes=made.phonemes)
    return found


def _evenly(codes: Tensor) -> Tensor:
    count = len(deduplicate(codes)[0])
    return torch.arange(count) * len(codes) // count


def _shortened(encoded: EncodedSet, way: Callable[[Tensor], Tensor]) -> EncodedSet:
    def rows(given: Sequence[EncodedSpeech]) -> tuple[EncodedSpeech, ...]:
        return tuple(
            EncodedSpeech(codes=way(row.codes[0])[None], speech=row.speech) for row in given
        )

    return replace(encoded, train=rows(encoded.train), test=rows(encoded.test))


MERGE = Effect(
    name="merging",
    claim="Merging similar neighbours keeps more phonemes than even windows, at half the tokens",
    paper="token compression survey (arXiv 2507.20198)",
    arms=MERGING,
    measure="frames with a wrong phoneme, unseen speakers",
    better="less",
    margin=0.02,
    breaks=("labels shuffled",),
    run=run_merging,
)
DROP = Effect(
    name="deduplication",
    claim="Run-length coding keeps more phonemes than as many evenly chosen frames",
    paper="GSLM (Lakhotia et al. 2021)",
    arms=DROPPING,
    measure="phoneme error rate of a CTC probe, unseen speakers",
    better="less",
    margin=0.05,
    breaks=("text shuffled",),
    run=run_dropping,
)
