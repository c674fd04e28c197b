"""Effect: a judge that knows text against one of its shape that knows nothing, in LAST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache

import torch
from effect import Effect, Measured, Setting
from effect_codec import FRAME_RATE, MELS, Frames, frames_of, places, seeded
from effect_codec import crops as crops_of
from effect_told import share_told
from torch import Tensor

from uslm.evaluation.suites.encoded import frame_labels
from uslm.evaluation.suites.speech_set import SpeechSet, vocabulary
from uslm_tokenizer.codecs.judged_units.model import Adapter, AdapterConfig
from uslm_tokenizer.objectives.codes import ReaderConfig
from uslm_tokenizer.objectives.frozen_lm import FrozenLM
from uslm_tokenizer.objectives.judged import References, Tokenized
from uslm_tokenizer.objectives.lm_judges import LikelihoodConfig
from uslm_tokenizer.objectives.unit_list import ObjectiveList, ObjectivesConfig
from uslm_tokenizer.quantize import kmeans
from uslm_tokenizer.quantize.vq import VectorQuantizer, VectorQuantizerConfig

DIM, SIZE, ROWS, LAYERS = 16, 64, 8, 4
"""Width and number of the codes, crops of a step, layers of the judge in a quick run."""
ARMS = ("judge of text", "random judge", "no judge", "k-means of the frames")


@dataclass(frozen=True, kw_only=True, eq=False)
class Units:
    """An adapter and the codebook after it."""

    adapter: Adapter
    quantizer: VectorQuantizer


def run(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Units of every arm with a judge go on from one start, which reconstruction alone has made."""
    frames, steps = frames_of(setting.speech), setting.steps(60, 2000)
    start: Units = seeded(seed, _untrained)
    _place(start, frames, seed)
    _train(start, frames, seed, setting.steps(240, 2000), None)
    knows_text = setting.broken != "judge forgets"
    judges = {
        ARMS[0]: _judge(setting, seed, knows_text=knows_text),
        ARMS[1]: _judge(setting, seed, knows_text=False),
        ARMS[2]: None,
    }
    found = {}
    for arm, judge in judges.items():
        units = deepcopy(start)
        _train(units, frames, seed + 1, steps, judge)
        found[arm] = _phonemes_told(frames, [_codes(units, x) for x in frames.test])
    draw, together = torch.Generator().manual_seed(seed), torch.cat(list(frames.train))
    some = together[torch.randperm(len(together), generator=draw)[: 100 * SIZE]]
    centroids = kmeans.fit(some, SIZE, iterations=20, generator=draw)
    nearest = [kmeans.nearest(x, centroids)[0] for x in frames.test]
    found[ARMS[3]] = _phonemes_told(frames, nearest)
    return found


def _untrained() -> Units:
    quantizer = VectorQuantizerConfig(dim=DIM, codebook_size=SIZE)
    return Units(
        adapter=Adapter(AdapterConfig(num_layers=2), MELS, DIM),
        quantizer=VectorQuantizer(quantizer),
    )


@torch.no_grad()
def _place(units: Units, frames: Frames, seed: int) -> None:
    """The codebook, among what the untrained adapter makes of some crops."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.cat([crops_of(frames.train, *places(frames.train, draw)) for _ in range(8)])
    latents = units.adapter(x, torch.ones(x.shape[:2], dtype=torch.bool))
    units.quantizer.initialize(latents.transpose(1, 2), generator=draw)


def _train(units: Units, frames: Frames, seed: int, steps: int, judge: FrozenLM | None) -> None:
    """Reconstruction, and what the judge says of the next unit; the same crops in every arm."""
    objectives: ObjectiveList = seeded(
        seed,
        lambda: ObjectiveList(
            ObjectivesConfig(
                reconstruction=ReaderConfig(weight=1.0, dim=64, num_layers=0),
                likelihood=None if judge is None else LikelihoodConfig(),
                commitment=0.25,
            ),
            latent_dim=DIM,
            feature_dim=MELS,
            codebook_size=SIZE,
            judge=judge,
        ),
    )
    parts = [*units.adapter.parameters(), *units.quantizer.parameters(), *objectives.parameters()]
    optimizer = torch.optim.AdamW(parts, lr=1e-3)
    order, draw = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
    units.quantizer.train()
    for _ in range(steps):
        rows, starts = places(frames.train, order)
        x = crops_of(frames.train, rows[:ROWS], starts[:ROWS])
        mask = torch.ones(x.shape[:2], dtype=torch.bool)
        latents = units.adapter(x, mask).transpose(1, 2)
        quantized = units.quantizer(latents, mask, generator=draw)
        made = Tokenized(x, latents, quantized, units.quantizer, mask)
        loss = objectives(made, References()).total()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parts, 1.0)
        optimizer.step()
    units.quantizer.eval()


@torch.no_grad()
def _codes(units: Units, frames: Tensor) -> Tensor:
    latents = units.adapter(frames[None], torch.ones(1, len(frames), dtype=torch.bool))
    codes: Tensor = units.quantizer.encode(latents.transpose(1, 2))
    return codes.flatten()


def _phonemes_told(frames: Frames, codes: Sequence[Tensor]) -> Measured:
    """Of the frames of each test utterance that are of a phoneme."""
    speech = frames.speech
    symbols, rows = vocabulary(speech.train), []
    for each, units in zip(speech.test, codes, strict=True):
        labels = frame_labels(each, len(units), FRAME_RATE, symbols)
        spoken = labels > 0
        rows.append(list(zip(units[spoken].tolist(), labels[spoken].tolist(), strict=True)))
    return share_told(rows)


def _judge(setting: Setting, seed: int, *, knows_text: bool) -> FrozenLM:
    """The named language model, or a small one that has read the transcripts; or one of its shape
    with random weights. Of one that is named a quick run takes the first layers alone."""
    if setting.judge is None:
        return _small_judge(setting.speech, seed, setting.steps(60, 600) if knows_text else 0)
    judge = FrozenLM.load(setting.judge, random_seed=None if knows_text else seed)
    body = judge.model.base_model
    if setting.quick:
        body.layers = body.layers[:LAYERS]
    return judge


@lru_cache(maxsize=4)
def _small_judge(speech: SpeechSet, seed: int, steps: int) -> FrozenLM:
    """A language model of the bytes of the transcripts."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, vocab_size=256, max_position_embeddings=256,
    )  # fmt: skip
    model = seeded(seed, lambda: LlamaForCausalLM(config))
    text = "\n".join(each.text or "".join(each.phonemes) for each in speech.train)
    read = torch.tensor(list(text.encode()))
    optimizer, draw = torch.optim.AdamW(model.parameters(), 2e-3), torch.Generator()
    draw.manual_seed(seed)
    for _ in range(steps):
        starts = torch.randint(max(1, len(read) - 64), (8,), generator=draw).tolist()
        ids = torch.stack([read[start : start + 64] for start in starts])
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    return FrozenLM(model)


EFFECTS = (
    Effect(
        name="last_judge",
        claim="A judge that knows text shapes units that tell more of the phonemes",
        paper="LAST (Turetzky & Adi 2024), without the control of a random judge",
        arms=ARMS,
        measure="share of what there is to know of a frame's phoneme that its unit tells, unseen "
        "speakers",
        better="more",
        margin=0.01,
        breaks=("judge forgets",),
        run=run,
        note="Units are 64 codes of log-mel frames through an adapter, which reconstruction alone "
        "has trained before. The random judge has the shape of the judge of text. A quick run "
        f"takes the first {LAYERS} layers of a judge that `--judge` names, as all of them are slow "
        "without a GPU; without `--judge` it is a small one that has read the transcripts.",
    ),
)
