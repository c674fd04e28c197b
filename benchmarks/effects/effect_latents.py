"""A small VoxCPM on log-mel frames in place of a codec's latents, and probes of what it knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from effect import Measured, Setting
from effect_codec import FRAME_RATE, MELS, Frames, frames_of, seeded
from torch import Tensor

from uslm.evaluation.suites.encoded import frame_labels
from uslm.evaluation.suites.speech_set import LabelledSpeech, vocabulary
from uslm.generate.flow import RectifiedFlow, mirrored, sample, sway
from uslm.systems.voxcpm.model import VoxCPM, VoxCPMConfig
from uslm.systems.voxcpm.stacks import StackConfig

PATCH, PATCHES, BATCH = 4, 12, 8
"""Frames of a patch; patches of an utterance, from its beginning; utterances of a step."""
DIM = 64
NARROW = 16
"""Channels of the bottleneck."""
QUICK_STEPS, FULL_STEPS = 1000, 2500
"""Training steps of each model, at `--quick` and without."""
ARMS: Mapping[str, tuple[int, int | None]] = {
    "bottleneck of 5 values": (NARROW, 2),
    "no bottleneck": (DIM, None),
    "as narrow, any value": (NARROW, None),
}
"""Channels and scale of each."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """An utterance as the model reads it."""

    text: Tensor
    patches: Tensor
    labels: Tensor
    """The phoneme in the middle of each patch."""
    speech: LabelledSpeech


def config(channels: int, scale: int | None, symbols: int) -> VoxCPMConfig:
    """A model of hundreds of thousands of weights."""

    def stack(layers: int) -> StackConfig:
        return StackConfig(dim=DIM, hidden_dim=128, num_heads=4, num_kv_heads=2, num_layers=layers)

    lm = {
        "model_type": "llama", "vocab_size": symbols + 2, "hidden_size": DIM,
        "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "bos_token_id": None, "eos_token_id": None,
    }  # fmt: skip
    return VoxCPMConfig(
        lm=lm, start_id=symbols + 1, latent_dim=MELS, patch_size=PATCH, bottleneck_dim=channels,
        bottleneck_scale=scale, residual=stack(1), encoder=stack(1), decoder=stack(2),
        stop_weight=0.0,
    )  # fmt: skip


def rows_of(frames: Frames) -> tuple[list[Row], list[Row], int]:
    """Rows to learn from and to measure with, and how many phonemes there are."""
    symbols = vocabulary((*frames.speech.train, *frames.speech.test))
    places = {symbol: i for i, symbol in enumerate(symbols)}

    def rows(speech: Sequence[LabelledSpeech], mels: Sequence[Tensor]) -> list[Row]:
        found = []
        for each, x in zip(speech, mels, strict=True):
            count = min(PATCHES, len(x) // PATCH)
            if count < PATCHES:
                continue  # all of one length, so that continuations are comparable
            kept = x[: count * PATCH]
            middle = frame_labels(each, len(x), FRAME_RATE, symbols)[PATCH // 2 :: PATCH][:count]
            text = torch.tensor([places[symbol] for symbol in each.phonemes])
            patches = kept.reshape(count, PATCH, MELS)
            found.append(Row(text=text, patches=patches, labels=middle, speech=each))
        return found

    return (
        rows(frames.speech.train, frames.train),
        rows(frames.speech.test, frames.test),
        len(symbols),
    )


def models(setting: Setting, seed: int) -> Mapping[str, VoxCPM]:
    """One of each arm, from the same start and the same utterances; broken, none has one."""
    none = setting.broken == "no arm has one"
    return _models(setting.speech, seed, setting.steps(QUICK_STEPS, FULL_STEPS), none)


@lru_cache(maxsize=4)
def _models(speech: object, seed: int, steps: int, none: bool) -> Mapping[str, VoxCPM]:
    train, _, symbols = rows_of(frames_of(speech))  # type: ignore[arg-type]
    found = {}
    for arm, (channels, scale) in ARMS.items():
        sizes = ARMS["no bottleneck"] if none else (channels, scale)
        model: VoxCPM = seeded(seed, lambda s=sizes: VoxCPM(config(*s, symbols))).train()
        optimizer = torch.optim.Adam(model.parameters(), 2e-3)
        draw = torch.Generator().manual_seed(seed)
        for _ in range(steps):
            picked = [train[i] for i in torch.randint(len(train), (BATCH,), generator=draw)]
            batch = model.batch([row.text for row in picked], [row.patches for row in picked])
            optimizer.zero_grad()
            model.losses(batch, draw).flow.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        found[arm] = model.eval()
    return found


@torch.no_grad()
def go_on(
    model: VoxCPM, texts: Sequence[Tensor], history: Tensor, noise: Tensor, steps: int = 6
) -> Tensor:
    """Patches after a history [n, m, p, c], one from each noise [k, n, p, c]: [n, k, p, c]."""
    path = RectifiedFlow()
    schedule = mirrored(path, sway(steps, 1.0))
    ends = torch.tensor([len(text) for text in texts])  # of START, which follows the text
    count = history.shape[1]
    for start in noise:
        hidden = model.hidden(model.batch(texts, list(history)))
        at = ends + history.shape[1]
        row = torch.arange(len(texts))
        condition = model.condition(hidden.semantic[row, at], hidden.residual[row, at])
        previous = history[:, -1]

        def direction(
            x: Tensor, place: Tensor, c: Tensor = condition, p: Tensor = previous
        ) -> Tensor:
            return model.decoder(x, place[:, 0], c, p)

        made = sample(direction, start, path, schedule)
        history = torch.cat([history, made[:, None]], dim=1)
    return history[:, count:]


@torch.no_grad()
def states(model: VoxCPM, rows: Sequence[Row]) -> tuple[list[Tensor], list[Tensor]]:
    """What came through the bottleneck, and the residual model's states, at each patch."""
    semantic, residual = [], []
    for row in rows:
        batch = model.batch([row.text], [row.patches])
        hidden = model.hidden(batch)
        semantic.append(hidden.semantic[batch.is_patch])
        residual.append(hidden.residual[batch.is_patch])
    return semantic, residual


def linear_probe(x: Tensor, y: Tensor, classes: int, ridge: float = 1.0) -> Tensor:
    """Weights [d + 1, classes] of a regression to one-hot classes, in closed form."""
    x = with_one(x).double()
    target = torch.nn.functional.one_hot(y, classes).double()
    square = x.T @ x + ridge * torch.eye(x.shape[1], dtype=torch.double)
    return torch.linalg.solve(square, x.T @ target)


def with_one(x: Tensor) -> Tensor:
    """With a column of ones."""
    return torch.cat([x, torch.ones(len(x), 1)], dim=1)


def wrong(weights: Tensor, rows: Sequence[Tensor], labels: Sequence[Tensor]) -> Measured:
    """Rows of vectors that are taken for another class, of each item."""
    errors = [
        float(((with_one(x).double() @ weights).argmax(1) != y).sum())
        for x, y in zip(rows, labels, strict=True)
    ]
    return Measured(totals=tuple(errors), sizes=tuple(float(len(y)) for y in labels))
