"""Effects: one stage takes the voice of its prompt and the melody it is given (Make-A-Voice)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from effect import Effect, Measured, Setting
from effect_codec import MELS, crops, levels, places, seeded, train_codec
from effect_codec import frames_of as mel_frames
from effect_voices import PROMPTED, TARGET, Voices, row_of, trained_voices
from torch import Tensor, nn

FIRST, ALL_CODEBOOKS, WIDTH = 2, 8, 64
"""Codebooks that are decoded, of so many; width of the decoder's vectors."""
SWAPPED, OWN, NO_PROMPT = "another's prompt", "own prompt", "no prompt"
OTHER_UNITS, SHUFFLED_UNITS = "units of other speech", "units in random order"
GIVEN, NOT_GIVEN, WRONG = "contour given", "no contour", "contour of other speech"
FEW, FULL, SHUFFLED = "decoder of the first codebooks", "the codec's decoder", "codes shuffled"


def run_voice(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Share of utterances whose mean frame is nearer to the other speaker's."""
    voices, pairs = _trained(setting, seed)
    found = {}
    for arm in (SWAPPED, OWN, NO_PROMPT):
        prompts = [
            None if arm == NO_PROMPT else voices.codes[1][a if arm == OWN else b][:, :PROMPTED]
            for a, b in pairs
        ]
        rows = [
            row_of(_target(voices.units[1][a]), prompt, None)
            for (a, _), prompt in zip(pairs, prompts, strict=True)
        ]
        made = voices.written(rows, seed)
        found[arm] = _shares(
            [_nearer(voices, each, a, b) for each, (a, b) in zip(made, pairs, strict=True)]
        )
    return found


def run_content(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Share of the given units that what was made does not have."""
    voices, pairs = _trained(setting, seed)
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(TARGET, generator=draw)
    found = {}
    for arm in (SWAPPED, OTHER_UNITS, SHUFFLED_UNITS, OWN):
        rows, wanted = [], []
        for a, b in pairs:
            units = _target(voices.units[1][a])
            wanted.append(units)
            read = {OTHER_UNITS: _target(voices.units[1][b]), SHUFFLED_UNITS: units[order]}
            prompt = voices.codes[1][a if arm == OWN else b][:, :PROMPTED]
            rows.append(row_of(read.get(arm, units), prompt, None))
        made = voices.written(rows, seed)
        wrong = [
            float((voices.units_of(each) != units).float().mean())
            for each, units in zip(made, wanted, strict=True)
        ]
        found[arm] = _shares(wrong)
    return found


def run_pitch(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Correlation of what was made with a contour that is upside down: high where the source was
    low. Prompt and units are the source's own."""
    voices, pairs = _trained(setting, seed)
    found = {}
    wanted = [_mirrored(_target(voices.f0[1][a])) for a, _ in pairs]
    others = [_mirrored(_target(voices.f0[1][b])) for _, b in pairs]
    for arm in (GIVEN, NOT_GIVEN, WRONG):
        contours = {GIVEN: wanted, WRONG: others}.get(arm, [None] * len(pairs))
        rows = [
            row_of(
                _target(voices.units[1][a]), voices.codes[1][a][:, :PROMPTED],
                None if contour is None else voices.tokens_of(contour),
            )
            for (a, _), contour in zip(pairs, contours, strict=True)
        ]  # fmt: skip
        made = voices.written(rows, seed)
        found[arm] = _shares(
            [_correlation(each[:, -1], want) for each, want in zip(made, wanted, strict=True)]
        )
    return found


def run_decoder(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Distance of log-mel frames that are made of the first codebooks, L1."""
    frames = mel_frames(setting.speech)
    codec = train_codec(levels(ALL_CODEBOOKS), frames, seed, setting.steps(600, 4000))
    with torch.no_grad():
        codes = [
            [codec.quantizer.encode(codec.encoder(x.T[None]))[0, :FIRST] for x in rows]
            for rows in (frames.train, frames.test)
        ]
    found: dict[str, Measured] = {}
    for arm in (FEW, SHUFFLED):
        shuffled = arm == SHUFFLED or setting.broken == "codes shuffled"
        decoder = _decoder(codes[0], frames.train, seed, setting.steps(600, 4000), shuffled)
        with torch.no_grad():
            made = [decoder(each[None])[0].T for each in codes[1]]
        found[arm] = _distances(made, frames.test)
    with torch.no_grad():
        made = [codec.decoder(codec.quantizer.decode(each[None]))[0].T for each in codes[1]]
    found[FULL] = _distances(made, frames.test)
    return {arm: found[arm] for arm in (FEW, FULL, SHUFFLED)}


class CodesToMel(nn.Module):
    """The codec's decoder in shape, on vectors of its own for each code."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.embedding = nn.Embedding(FIRST * size, WIDTH)
        self.decoder = nn.Sequential(
            nn.Conv1d(WIDTH, WIDTH, 5, padding=2), nn.GELU(), nn.Conv1d(WIDTH, MELS, 5, padding=2)
        )

    def forward(self, codes: Tensor) -> Tensor:
        first = self.size * torch.arange(FIRST)[:, None]
        made: Tensor = self.decoder(self.embedding(codes + first).sum(1).mT)
        return made


def _decoder(
    codes: Sequence[Tensor], frames: Sequence[Tensor], seed: int, steps: int, shuffled: bool
) -> CodesToMel:
    size = 1 + max(int(each.max()) for each in codes)
    decoder: CodesToMel = seeded(seed, lambda: CodesToMel(max(size, 32)))
    optimizer = torch.optim.Adam(decoder.parameters(), 3e-3)
    draw, order = (torch.Generator().manual_seed(seed) for _ in range(2))
    for _ in range(steps):
        rows, starts = places(frames, draw)
        x = crops(frames, rows, starts)
        read = crops([each.T for each in codes], rows, starts).mT
        if shuffled:
            read = read[torch.randperm(len(read), generator=order)]
        loss = F.mse_loss(decoder(read).mT, x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return decoder.eval()


def _distances(made: Sequence[Tensor], frames: Sequence[Tensor]) -> Measured:
    totals = tuple(float((a - b).abs().sum()) for a, b in zip(made, frames, strict=True))
    return Measured(totals=totals, sizes=tuple(float(x.numel()) for x in frames))


def _trained(setting: Setting, seed: int) -> tuple[Voices, Sequence[tuple[int, int]]]:
    """The stage, and pairs of a source and an utterance of another speaker."""
    voices = trained_voices(
        setting.speech, seed, setting.steps(400, 4000), setting.steps(600, 3000), setting.broken
    )
    speech = setting.speech.test
    usable = [i for i, x in enumerate(voices.units[1]) if len(x) >= TARGET + PROMPTED]
    pairs = []
    for place, index in enumerate(usable):
        others = [*usable[place + 1 :], *usable[:place]]
        speaker = speech[index].labels["speaker"]
        pairs.append((index, next(i for i in others if speech[i].labels["speaker"] != speaker)))
    return voices, pairs


def _target(rows: Tensor) -> Tensor:
    """The frames that follow a prompt at the beginning."""
    return rows[PROMPTED : PROMPTED + TARGET]


def _nearer(voices: Voices, made: Tensor, source: int, other: int) -> float:
    """1 where the mean frame is nearer to the other's."""
    mean = made.mean(0)
    means = [voices.frames.test[i].mean(0) for i in (source, other)]
    return float((mean - means[1]).norm() < (mean - means[0]).norm())


def _mirrored(contour: Tensor) -> Tensor:
    """Upside down about its mean; unvoiced frames stay."""
    voiced = contour > 0
    if not voiced.any():
        return contour
    return torch.where(voiced, 2 * contour[voiced].mean() - contour, 0.0)


def _correlation(found: Tensor, wanted: Tensor) -> float:
    """Pearson's, over voiced frames; 0 where fewer than five are voiced or nothing moves."""
    voiced = wanted > 0
    if int(voiced.sum()) < 5:
        return 0.0
    a, b = (x[voiced] - x[voiced].mean() for x in (found, wanted))
    return float((a * b).sum() / (a.norm() * b.norm()).clamp(min=1e-6))


def _shares(values: Sequence[float]) -> Measured:
    return Measured(totals=tuple(values), sizes=(1.0,) * len(values))


PAPER = "Make-A-Voice (Huang et al. 2023)"
NOTE = (
    "The stage is a small one over codes of frames: 39 bands of log-mel and F0, two codebooks of "
    "64. Units are k-means of the bands less their mean. Speakers are unseen. "
)
EFFECTS = (
    Effect(
        name="make_a_voice_voice",
        claim="Another's prompt gives another's voice",
        paper=PAPER,
        arms=(SWAPPED, OWN, NO_PROMPT),
        measure="utterances whose mean frame is nearer to the other speaker's than to the source's",
        better="more",
        margin=0.1,
        breaks=("prompts shuffled",),
        run=run_voice,
        note=NOTE + "No pitch is given.",
    ),
    Effect(
        name="make_a_voice_content",
        claim="The words stay, whoever the prompt is of",
        paper=PAPER,
        arms=(SWAPPED, OTHER_UNITS, SHUFFLED_UNITS, OWN),
        measure="units of what is written that are not those that were given",
        better="less",
        margin=0.05,
        breaks=("units shuffled",),
        run=run_content,
        note=NOTE + "The last arm has the source's own prompt: no more can be asked of the first.",
    ),
    Effect(
        name="make_a_voice_pitch",
        claim="What is written follows the contour that is given",
        paper=PAPER,
        arms=(GIVEN, NOT_GIVEN, WRONG),
        measure="correlation of F0 with a contour upside down, within each utterance",
        better="more",
        margin=0.1,
        breaks=("pitch shuffled",),
        run=run_pitch,
        note=NOTE + "The same weights write with and without a contour.",
    ),
    Effect(
        name="make_a_voice_decoder",
        claim="A decoder of the first codebooks is nearer than the codec's own, given no more",
        paper=PAPER,
        arms=(FEW, FULL, SHUFFLED),
        measure="distance of log-mel frames, L1",
        better="less",
        margin=0.005,
        breaks=("codes shuffled",),
        run=run_decoder,
        note=(
            f"A codec of log-mel frames with {ALL_CODEBOOKS} codebooks, of which the first {FIRST} "
            "are decoded; it stands for one of waveforms. The third arm learnt from the codes of "
            "other speech. All learnt by the squared distance."
        ),
    ),
)
