"""Effects: acoustic BPE shortens units of unseen speakers, and what it does to a language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from effect import Effect, Measured, Setting
from effect_codec import FRAME_RATE, frames_of, seeded
from torch import Tensor

from uslm.evaluation.suites.speech_set import SpeechSet
from uslm.models.spans import Span
from uslm.systems.lst.model import PatchLM, PatchLMConfig
from uslm_tokenizer.quantize import kmeans
from uslm_tokenizer.sequence.bpe import AcousticBPE
from uslm_tokenizer.sequence.dedup import deduplicate

SIZE, ROWS = 100, 12
RATES = ("vocabulary 500", "units", "merges of shuffled units", "repeats dropped, with loss",
         "vocabulary 200")  # fmt: skip
MODELS = ("merged units", "units", "merges of shuffled units")
Rows = Sequence[Tensor]


def run_rate(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Tokens per second of unseen speakers; every merge is undone without loss."""
    train, test = _units(setting.speech, seed)
    shuffled = _shuffled(train, seed)
    learnt = {
        RATES[0]: AcousticBPE.learn(
            shuffled if setting.broken == "units shuffled" else train, SIZE, 500
        ),
        RATES[2]: AcousticBPE.learn(shuffled, SIZE, 500),
        RATES[4]: AcousticBPE.learn(train, SIZE, 200),
    }
    found = {}
    for arm in RATES:
        counts = []
        for units in test:
            if arm in learnt:
                tokens = learnt[arm].encode(units)
                assert torch.equal(learnt[arm].decode(tokens), units)
                counts.append(len(tokens))
            else:
                counts.append(len(units) if arm == "units" else len(deduplicate(units)[0]))
        seconds = tuple(len(units) / FRAME_RATE for units in test)
        found[arm] = Measured(totals=tuple(counts), sizes=seconds)
    return found


def run_model(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Nats per second of the units of unseen speakers, by one language model an arm."""
    train, test = _units(setting.speech, seed)
    shuffled = _shuffled(train, seed)
    found = {}
    for arm in MODELS:
        spoiled = arm == MODELS[2] or (setting.broken == "units shuffled" and arm == MODELS[0])
        merges: tuple[tuple[int, int], ...] = ()
        if arm != "units":
            merges = AcousticBPE.learn(shuffled if spoiled else train, SIZE, 300).config.merges
        config = PatchLMConfig(
            codebook_size=SIZE, patch_size=1, local_dim=48, local_heads=3, num_decoder_layers=1,
            window=16, dim=96, num_heads=3, num_layers=2, merges=merges,
        )  # fmt: skip
        model: PatchLM = seeded(seed, lambda config=config: PatchLM(config)).train()
        optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
        draw = torch.Generator().manual_seed(seed)
        for _ in range(setting.steps(120, 2000)):
            picks = torch.randint(len(train), (ROWS,), generator=draw).tolist()
            loss = model.loss(model.batch([[Span("speech", train[i])] for i in picks]))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        found[arm] = _nats(model.eval(), test)
    return found


@torch.no_grad()
def _nats(model: PatchLM, rows: Rows) -> Measured:
    totals = []
    for units in rows:
        batch = model.batch([[Span("speech", units)]])
        totals.append(float((model.token_losses(batch) * batch.is_speech).sum()))
    return Measured(totals=tuple(totals), sizes=tuple(len(u) / FRAME_RATE for u in rows))


@lru_cache(maxsize=4)
def _units(speech: SpeechSet, seed: int) -> tuple[Rows, Rows]:
    """k-means units of log-mel frames less their mean."""
    frames = frames_of(speech)
    draw, together = torch.Generator().manual_seed(seed), torch.cat(list(frames.train))
    some = together[torch.randperm(len(together), generator=draw)[: 100 * SIZE]]
    centroids = kmeans.fit(some, SIZE, iterations=20, generator=draw)
    train, test = (
        [kmeans.nearest(x, centroids)[0] for x in rows] for rows in (frames.train, frames.test)
    )
    return train, test


def _shuffled(rows: Rows, seed: int) -> Rows:
    """The same units of each row in another order."""
    draw = torch.Generator().manual_seed(seed)
    return [units[torch.randperm(len(units), generator=draw)] for units in rows]


NOTE = "Units are 100 centroids of log-mel frames, 50 per second. "
EFFECTS = (
    Effect(
        name="acoustic_bpe",
        claim="Merging units that often follow each other shortens speech of unseen speakers",
        paper="Vec-Tok (Zhu et al. 2023)",
        arms=RATES,
        measure="tokens per second",
        better="less",
        margin=1.0,
        breaks=("units shuffled",),
        run=run_rate,
        note=NOTE + "Merges are learnt on other speakers, and undone without loss in every test "
        "utterance; dropping repeats loses how long each unit was.",
    ),
    Effect(
        name="bpe_language_model",
        claim="A language model predicts merged units better, second for second",
        paper="Vec-Tok (Zhu et al. 2023); LST (Lu et al. 2025) finds the contrary",
        arms=MODELS,
        measure="nats per second of speech of unseen speakers",
        better="less",
        margin=1.0,
        breaks=("units shuffled",),
        run=run_model,
        note=NOTE + "Per second, as a token of merged units is worth several. Every arm has as "
        "many steps of as many utterances; that of merged units reads fewer tokens.",
    ),
)
