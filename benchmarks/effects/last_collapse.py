"""Effect: without reconstruction the codes that a frozen language model judges collapse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from effect import Effect, Measured, Setting
from torch import Tensor

from uslm.evaluation.suites.baseline import MelUnits, MelUnitsConfig
from uslm.evaluation.suites.speech_set import LabelledSpeech
from uslm_tokenizer.codecs.judged_units.model import Adapter, AdapterConfig
from uslm_tokenizer.objectives.codes import ReaderConfig
from uslm_tokenizer.objectives.frozen_lm import FrozenLM
from uslm_tokenizer.objectives.judged import References, Tokenized
from uslm_tokenizer.objectives.lm_judges import LikelihoodConfig
from uslm_tokenizer.objectives.unit_list import ObjectiveList, ObjectivesConfig
from uslm_tokenizer.quantize.vq import VectorQuantizer, VectorQuantizerConfig

NUM_MELS, DIM, SIZE = 40, 16, 64
FRAMES, ROWS = 64, 12
"""Of a batch."""
ARMS = ("with reconstruction", "without", "reconstruction of other frames", "gradient cut")


def run(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """One adapter and codebook an arm, from the same random start, and one frozen judge."""
    mel = MelUnits(MelUnitsConfig(num_mels=NUM_MELS))
    train, test = (_features(mel, rows) for rows in (setting.speech.train, setting.speech.test))
    frames = torch.cat(train)
    mean, std = frames.mean(0), frames.std(0) + 1e-3
    train, test = ([(row - mean) / std for row in rows] for rows in (train, test))
    return {arm: _arm(setting, seed, arm, train, test) for arm in ARMS}


def _arm(
    setting: Setting, seed: int, arm: str, train: Sequence[Tensor], test: Sequence[Tensor]
) -> Measured:
    weight = 0.0 if arm == "without" else 10.0
    if setting.broken == "no weight" and arm == ARMS[0]:
        weight = 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapter = Adapter(AdapterConfig(num_layers=2), NUM_MELS, DIM)
        quantizer = VectorQuantizer(
            VectorQuantizerConfig(dim=DIM, codebook_size=SIZE, dead_share=0.0)
        )
        objectives = ObjectiveList(
            ObjectivesConfig(
                reconstruction=ReaderConfig(weight=weight, dim=64, num_layers=0),
                likelihood=LikelihoodConfig(),
                commitment=1.0,
            ),
            latent_dim=DIM,
            feature_dim=NUM_MELS,
            codebook_size=SIZE,
            judge=_judge(),
            cut=arm == "gradient cut",
        )
    draw = torch.Generator().manual_seed(seed)
    parts = [*adapter.parameters(), *objectives.parameters()]
    optimizer = torch.optim.AdamW(parts, lr=1e-3)
    quantizer.train()
    long = [row for row in train if len(row) >= FRAMES]
    mask = torch.ones(ROWS, FRAMES, dtype=torch.bool)
    for _ in range(setting.steps(200, 1000)):
        picks = torch.randint(len(long), (ROWS,), generator=draw).tolist()
        batch = torch.stack([_crop(long[i], draw) for i in picks])
        latents = adapter(batch, mask).transpose(1, 2)
        target = batch
        if arm == ARMS[2]:  # as much to reconstruct, but nothing that the codes could tell
            order = torch.randperm(ROWS * FRAMES, generator=draw)
            target = batch.flatten(0, 1)[order].unflatten(0, (ROWS, FRAMES))
        made = Tokenized(target, latents, quantizer(latents, mask, generator=draw), quantizer, mask)
        loss = objectives(made, References()).total()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parts, 1.0)
        optimizer.step()
    return _used(adapter, quantizer.eval(), test)


def _crop(row: Tensor, draw: torch.Generator) -> Tensor:
    start = int(torch.randint(len(row) - FRAMES + 1, (), generator=draw))
    return row[start : start + FRAMES]


def _judge() -> FrozenLM:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, vocab_size=64, max_position_embeddings=256,
    )  # fmt: skip
    return FrozenLM(LlamaForCausalLM(config))


def _features(mel: MelUnits, rows: Sequence[LabelledSpeech]) -> list[Tensor]:
    return [mel.features(row.waveform[None])[0] for row in rows]


@torch.no_grad()
def _used(adapter: Adapter, quantizer: VectorQuantizer, test: Sequence[Tensor]) -> Measured:
    """Of each held-out utterance: different codes, for each frame that could have another."""
    totals, sizes = [], []
    for row in test:
        latents = adapter(row[None], torch.ones(1, len(row), dtype=torch.bool))
        codes = quantizer.encode(latents.transpose(1, 2))
        totals.append(float(len(codes.unique())))
        sizes.append(float(min(len(row), SIZE)))
    return Measured(totals=tuple(totals), sizes=tuple(sizes))


EFFECTS = (
    Effect(
        name="last_collapse",
        claim="Without reconstruction the codes that a language model judges collapse",
        paper="LAST (Turetzky & Adi 2024)",
        arms=ARMS,
        measure="different codes in a held-out utterance, for each frame",
        better="more",
        margin=0.02,
        breaks=("no weight",),
        run=run,
        note="The judge is a small frozen language model with random weights: whether one that "
        "knows text shapes better units is not asked here.",
    ),
)
