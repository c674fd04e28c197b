"""Effects: phonemes that are recognised after a codebook move its centroids, away from voices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from effect import Effect, Measured, Setting
from effect_codec import FRAME_RATE, MELS, Frames, frames_of, seeded
from effect_told import speaker_told
from torch import Tensor

from uslm.evaluation.suites.encoded import EncodedSet, EncodedSpeech
from uslm.evaluation.suites.probe import (
    Batch,
    ProbeConfig,
    TokenProbe,
    ordered_batches,
    train_probe,
)
from uslm.evaluation.suites.speech_set import PAUSE, LabelledSpeech, SpeechSet, vocabulary
from uslm_tokenizer.codecs.judged_units.model import Adapter, AdapterConfig
from uslm_tokenizer.nn.padding import pad_right
from uslm_tokenizer.objectives.judged import References, Texts, Tokenized
from uslm_tokenizer.objectives.speech_judges import CTCConfig
from uslm_tokenizer.objectives.unit_list import ObjectiveList, ObjectivesConfig
from uslm_tokenizer.quantize.base import Quantized
from uslm_tokenizer.quantize.diff_kmeans import DifferentiableKMeans, DifferentiableKMeansConfig
from uslm_tokenizer.sequence.edit_distance import edit_distance

DIM, SIZE, ROWS = 64, 64, 24
STRETCH = 12
"""Segments, pauses among them, of a training row: CTC learns from short rows in minutes."""
ARMS = ("both", "frozen", "gradient cut", "centroids alone", "encoder alone",
        "fine-tuned, then re-clustered")  # fmt: skip
LEARNING: Mapping[str, frozenset[str]] = {
    "both": frozenset({"encoder", "centroids"}),
    "gradient cut": frozenset({"encoder", "centroids"}),
    "centroids alone": frozenset({"centroids"}),
    "encoder alone": frozenset({"encoder"}),
}
"""Parts that learn in the second stage, beside the heads."""


@dataclass
class Parts:
    """An encoder of log-mel frames, its codebook, and the recogniser after it."""

    encoder: Adapter
    quantizer: DifferentiableKMeans
    objectives: ObjectiveList


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A short part of an utterance."""

    utterance: int
    begin: int
    """Its first frame."""
    end: int
    ids: Tensor
    """Phonemes, from 1 on."""


def run_content(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Phonemes that a recogniser of equal budget reads off the units of unseen speakers."""
    made = _units(setting.speech, seed, setting.steps(300, 1500), setting.broken)
    train, test = (_stretches(setting.speech, which) for which in ("train", "test"))
    config = ProbeConfig(
        dim=64, num_layers=2, steps=setting.steps(300, 1000), batch_size=ROWS, learning_rate=4e-3
    )
    return {arm: _phoneme_errors(units, train, test, config, seed) for arm, units in made.items()}


def _phoneme_errors(
    units: EncodedSet,
    train: Sequence[Stretch],
    test: Sequence[Stretch],
    config: ProbeConfig,
    seed: int,
) -> Measured:
    """Edits and phonemes of each test utterance, by a CTC probe of its units."""

    def codes(rows: Sequence[EncodedSpeech], stretches: Sequence[Stretch]) -> list[Tensor]:
        return [rows[p.utterance].codes[:, p.begin : p.end] for p in stretches]

    def loss(probe: TokenProbe, batch: Batch) -> Tensor:
        ids, real = pad_right([train[row].ids for row in batch.rows])
        scores = probe(batch.codes, batch.lengths).log_softmax(-1).transpose(0, 1)
        return F.ctc_loss(scores, ids, batch.lengths, real.sum(1), zero_infinity=True)

    num_classes = 1 + max(int(stretch.ids.max()) for stretch in (*train, *test))
    probe = train_probe(
        config, codes(units.train, train), loss, codebook_size=SIZE, num_classes=num_classes,
        seed=seed,
    )  # fmt: skip
    errors, symbols = ([0.0] * len(units.test) for _ in range(2))
    for batch in ordered_batches(codes(units.test, test), ROWS):
        scores = probe(batch.codes, batch.lengths)
        for row, length, place in zip(scores, batch.lengths.tolist(), batch.rows, strict=True):
            path = torch.unique_consecutive(row[:length].argmax(-1))
            stretch = test[place]
            errors[stretch.utterance] += edit_distance(
                path[path > 0].tolist(), stretch.ids.tolist()
            )
            symbols[stretch.utterance] += len(stretch.ids)
    return Measured(totals=tuple(errors), sizes=tuple(symbols))


def run_voice(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Share of what there is to know of the speaker that one unit tells."""
    made = _units(setting.speech, seed, setting.steps(300, 1500), setting.broken)
    return {arm: speaker_told(units) for arm, units in made.items()}


@lru_cache(maxsize=8)
def _units(
    speech: SpeechSet, seed: int, steps: int, broken: str | None
) -> Mapping[str, EncodedSet]:
    """Units of each arm. All go on from one encoder, which knows no phonemes, and have as many
    steps after it."""
    frames = frames_of(speech)
    rows = [
        (frames.train[stretch.utterance][stretch.begin : stretch.end], stretch.ids)
        for stretch in _stretches(speech, "train")
    ]
    num_symbols = len(vocabulary([*speech.train, *speech.test])) + 1
    start = seeded(seed, lambda: _parts(num_symbols))
    _reconstruct(start.encoder, rows, steps, seed)
    found = {}
    for arm in ARMS:
        draw = torch.Generator().manual_seed(seed + 1)
        parts = deepcopy(start)
        if arm == ARMS[-1]:  # as many steps of the encoder as the others' second stage
            _train(parts, rows, steps, draw, {"encoder"}, coded=False)
        _place(parts, frames, seed)
        if arm not in ("frozen", ARMS[-1]):
            parts.objectives.cut = arm == "gradient cut" or (
                broken == "gradient cut" and arm == "both"
            )
            _train(parts, rows, steps // 2, draw, set())
            _train(parts, rows, steps, draw, LEARNING[arm])
        found[arm] = _encoded(parts, frames)
    return found


def _parts(num_symbols: int) -> Parts:
    quantizer = DifferentiableKMeansConfig(dim=DIM, codebook_size=SIZE)
    config = ObjectivesConfig(ctc=CTCConfig(num_symbols=num_symbols, dim=DIM, num_layers=0))
    sizes = {"latent_dim": DIM, "feature_dim": MELS, "codebook_size": SIZE}
    return Parts(
        Adapter(AdapterConfig(num_layers=4, kernel_size=5), MELS, DIM),
        DifferentiableKMeans(quantizer),
        ObjectiveList(config, **sizes),
    )


def _reconstruct(
    encoder: Adapter, rows: Sequence[tuple[Tensor, Tensor]], steps: int, seed: int
) -> None:
    """Train the encoder to keep what its frames hold."""
    decoder = seeded(seed, lambda: torch.nn.Linear(DIM, MELS))
    draw = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
    for _ in range(steps):
        picks = torch.randint(len(rows), (ROWS,), generator=draw).tolist()
        frames, mask = pad_right([rows[i][0] for i in picks])
        loss = F.mse_loss(decoder(encoder(frames, mask))[mask], frames[mask])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _train(
    parts: Parts,
    rows: Sequence[tuple[Tensor, Tensor]],
    steps: int,
    draw: torch.Generator,
    learning: set[str] | frozenset[str],
    *,
    coded: bool = True,
) -> None:
    """`learning` beside the heads: encoder, centroids. The temperature falls from 2 to 0.5."""
    encoder, quantizer = parts.encoder, parts.quantizer
    encoder.requires_grad_("encoder" in learning)
    quantizer.requires_grad_("centroids" in learning)
    quantizer.train(coded and bool(learning))
    rate = 1e-3 if coded else 3e-3  # of the tokenizer; of the heads three times as much
    tokenizer = [p for p in (*encoder.parameters(), *quantizer.parameters()) if p.requires_grad]
    groups = [{"params": list(parts.objectives.parameters()), "lr": 3e-3}]
    groups += [{"params": tokenizer, "lr": rate}] * bool(tokenizer)
    optimizer = torch.optim.AdamW(groups)
    for step in range(steps):
        quantizer.set_temperature(2.0 - 1.5 * step / steps)
        picks = torch.randint(len(rows), (ROWS,), generator=draw).tolist()
        frames, mask = pad_right([rows[i][0] for i in picks])
        ids, real = pad_right([rows[i][1] for i in picks])
        latents = encoder(frames, mask).transpose(1, 2)
        if coded:
            quantized = quantizer(latents, mask, generator=draw)
        else:
            zero = latents.new_zeros(())
            codes = torch.zeros_like(latents[:, :1]).long()
            quantized = Quantized(latents, codes, zero, zero, zero)
        made = Tokenized(frames, latents, quantized, quantizer, mask)
        texts = Texts(torch.arange(len(picks)), ids, real.sum(1))
        loss = parts.objectives(made, References(phonemes=texts)).total()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*tokenizer, *parts.objectives.parameters()], 1.0)
        optimizer.step()
    quantizer.eval()


@torch.no_grad()
def _place(parts: Parts, frames: Frames, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    latents = torch.cat([_latents(parts, x)[0].T for x in frames.train])
    some = latents[torch.randperm(len(latents), generator=draw)[: 100 * SIZE]]
    parts.quantizer.initialize(some.T[None], generator=draw)


@torch.no_grad()
def _latents(parts: Parts, frames: Tensor) -> Tensor:
    mask = torch.ones(1, len(frames), dtype=torch.bool)
    made: Tensor = parts.encoder(frames[None], mask).transpose(1, 2)
    return made


def _encoded(parts: Parts, frames: Frames) -> EncodedSet:
    def coded(
        rows: Sequence[Tensor], speech: Sequence[LabelledSpeech]
    ) -> tuple[EncodedSpeech, ...]:
        pairs = zip(rows, speech, strict=True)
        return tuple(
            EncodedSpeech(codes=parts.quantizer.encode(_latents(parts, x))[0], speech=each)
            for x, each in pairs
        )

    return EncodedSet(
        name="units", train=coded(frames.train, frames.speech.train),
        test=coded(frames.test, frames.speech.test), frame_rate=FRAME_RATE, codebook_size=SIZE,
        num_codebooks=1,
    )  # fmt: skip


def _stretches(speech: SpeechSet, which: str) -> list[Stretch]:
    """Parts of STRETCH segments, whose phonemes fit into their frames."""
    number = {s: i for i, s in enumerate(vocabulary([*speech.train, *speech.test]), 1)}
    found = []
    for place, each in enumerate(getattr(speech, which)):
        for first in range(0, len(each.segments) - STRETCH // 2, STRETCH):
            part = each.segments[first : first + STRETCH]
            begin, end = (int(t * FRAME_RATE) for t in (part[0].start, part[-1].end))
            ids = [number[segment.symbol] for segment in part if segment.symbol != PAUSE]
            repeats = sum(a == b for a, b in pairwise(ids))
            if ids and len(ids) + repeats <= end - begin:
                found.append(Stretch(utterance=place, begin=begin, end=end, ids=torch.tensor(ids)))
    return found


PAPER = "Differentiable k-means (Onda et al. 2025)"
NOTE = (
    "The encoder is four convolutions on log-mel spectra, which were trained before to keep what "
    "these hold, as no pretrained encoder comes with this project. The last arm, without a soft "
    "codebook, has as many steps of the encoder: where it is as good, the gain is not of the "
    "centroids. It is the third design that was tried: a probe of single frames gained little, and "
    "an encoder that a CTC loss had taught phonemes before gained nothing, on one seed each. "
)
EFFECTS = (
    Effect(
        name="soft_kmeans",
        claim="An ASR loss that reaches centroids and encoder makes units easier to recognise",
        paper=PAPER,
        arms=ARMS,
        measure="phoneme error rate of a recogniser that reads the units, unseen speakers",
        better="less",
        margin=0.02,
        breaks=("gradient cut",),
        run=run_content,
        note=NOTE,
    ),
    Effect(
        name="soft_kmeans_voice",
        claim="An ASR loss that reaches centroids and encoder takes the voice out of units",
        paper=PAPER,
        arms=ARMS,
        measure="share of what there is to know of an unseen speaker that one unit tells",
        better="less",
        margin=0.01,
        breaks=("gradient cut",),
        run=run_voice,
        note=NOTE + "It is the mutual information of unit and speaker over the speaker's entropy.",
    ),
)
