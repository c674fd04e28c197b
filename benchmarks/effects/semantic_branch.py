"""Effect: a speech encoder's features, joined with the latents, put content in the first level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from effect import Effect, Measured, Setting
from effect_codec import (
    CODES,
    FRAME_RATE,
    LATENT,
    Frames,
    MelCodec,
    Rows,
    crops,
    features_of,
    frames_of,
    levels,
    phoneme_errors,
    places,
    seeded,
    taught_teacher,
)
from torch import Tensor, nn

from uslm.evaluation.suites.encoded import EncodedSet, EncodedSpeech

LEVELS = 3
FEATURES = 32
ARMS = ("branch", "no branch", "branch of an untaught encoder", "branch, not told again")


class Branched(MelCodec):
    """Features are joined with the latents, and come out of the codes again, as in X-Codec."""

    def __init__(self) -> None:
        super().__init__(levels(LEVELS))
        self.into = nn.Conv1d(FEATURES, LATENT, 3, padding=1)
        self.join = nn.Conv1d(2 * LATENT, LATENT, 1)
        self.restore = nn.Sequential(
            nn.Conv1d(LATENT, LATENT, 3, padding=1), nn.GELU(), nn.Conv1d(LATENT, FEATURES, 1)
        )

    def latents(self, mel: Tensor, features: Tensor | None) -> Tensor:
        """What is quantized; both are [b, t, width]."""
        own: Tensor = self.encoder(mel.mT)
        if features is None:
            return own
        joined: Tensor = self.join(torch.cat([own, self.into(features.mT)], 1))
        return joined


def run(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Same start, crops and steps in every arm."""
    frames, steps = frames_of(setting.speech), setting.steps(120, 1500)
    taught = features_of(taught_teacher(frames, seed, steps), frames)
    untaught = features_of(taught_teacher(frames, seed, 0), frames)
    if setting.broken == "features of other speech":
        taught = (_others(taught[0]), _others(taught[1]))
    found = {}
    for arm in ARMS:
        given = untaught if "untaught" in arm else taught
        chosen = None if arm == "no branch" else given
        codec = _train(frames, chosen, seed, steps, told="not told" not in arm)
        encoded = _encode(codec, frames, chosen)
        found[arm] = phoneme_errors(encoded, setting, seed)
    return found


def _others(rows: Rows) -> Rows:
    """For each utterance the features of the next one, as long as its own."""
    mixed = []
    for place, row in enumerate(rows):
        other = rows[(place + 1) % len(rows)]
        mixed.append(other.repeat(len(row) // max(1, len(other)) + 1, 1)[: len(row)])
    return mixed


def _train(
    frames: Frames, features: tuple[Rows, Rows] | None, seed: int, steps: int, *, told: bool
) -> Branched:
    codec: Branched = seeded(seed, Branched)
    start, order, draw = (torch.Generator().manual_seed(seed) for _ in range(3))

    def batch(source: torch.Generator) -> tuple[Tensor, Tensor | None]:
        chosen, starts = places(frames.train, source)
        known = None if features is None else crops(features[0], chosen, starts)
        return crops(frames.train, chosen, starts), known

    with torch.no_grad():
        latents = torch.cat([codec.latents(*batch(start)) for _ in range(4)])
    codec.quantizer.initialize(latents, generator=draw)
    optimizer = torch.optim.Adam(codec.parameters(), 3e-3)
    for _ in range(steps):
        x, known = batch(order)
        quantized = codec.quantizer(codec.latents(x, known), generator=draw)
        loss = F.mse_loss(codec.decoder(quantized.latents).mT, x) + 0.25 * quantized.loss
        if known is not None and told:
            loss = loss + F.mse_loss(codec.restore(quantized.latents).mT, known)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    trained: Branched = codec.eval()
    return trained


@torch.no_grad()
def _encode(codec: Branched, frames: Frames, features: tuple[Rows, Rows] | None) -> EncodedSet:
    """The first level alone."""
    parts: list[tuple[EncodedSpeech, ...]] = []
    for part, (rows, given) in enumerate(
        ((frames.train, frames.speech.train), (frames.test, frames.speech.test))
    ):
        known: Sequence[Tensor | None] = [None] * len(rows) if features is None else features[part]
        parts.append(
            tuple(
                EncodedSpeech(
                    codes=codec.quantizer.encode(
                        codec.latents(x[None], None if each is None else each[None])
                    )[0, :1],
                    speech=speech,
                )
                for x, each, speech in zip(rows, known, given, strict=True)
            )
        )
    return EncodedSet(
        name="codes", train=parts[0], test=parts[1], frame_rate=FRAME_RATE, codebook_size=CODES,
        num_codebooks=1,
    )  # fmt: skip


EFFECTS = (
    Effect(
        name="semantic_branch",
        claim="A semantic branch before the quantizer puts content into the first level",
        paper="X-Codec (Ye et al. 2024)",
        arms=ARMS,
        measure="frames with a wrong phoneme, from the first level alone, unseen speakers",
        better="less",
        margin=0.05,
        breaks=("features of other speech", "labels shuffled"),
        run=run,
        note="The codec is one of log-mel frames, with three levels of 32 codes; the branch's "
        "encoder was taught phonemes, so it is stronger than a self-supervised one.",
    ),
)
