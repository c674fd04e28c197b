"""Make-A-Voice's second stage, small: units, a contour and a prompt to codes of frames.

A frame is 39 bands of log-mel and F0, which a codec of waveforms would code as well; so F0 can be
read off what is written. Units are k-means of the bands less their mean over the utterance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from effect_codec import FRAME_RATE, MELS, Frames, MelCodec, levels, seeded, train_codec
from torch import Tensor

from uslm.evaluation.suites.baseline import MelUnits, MelUnitsConfig
from uslm.evaluation.suites.speech_set import SAMPLE_RATE, LabelledSpeech, SpeechSet
from uslm.generate.sampling import Sampling
from uslm.generate.spans import write_spans
from uslm.models.span_lm import SpanLMConfig
from uslm.models.spans import Span
from uslm.systems.make_a_voice.model import (
    CODES,
    PITCH,
    PROMPT,
    UNITS,
    MakeAVoiceLM,
    acoustic_kinds,
)
from uslm_tokenizer.codecs.pitch_tokens.model import PitchTokens, PitchTokensConfig
from uslm_tokenizer.quantize import kmeans
from uslm_tokenizer.sequence.flat_codes import flatten_codes, unflatten_codes

NUM_UNITS, CODEBOOKS, SIZE = 64, 2, 64
TARGET, PROMPTED, ROWS = 30, 15, 12
"""Frames of what is written, of the prompt before it, and rows of a step."""
F0_WEIGHT = 3.0
"""How much F0 counts in a frame, beside a band of log-mel."""
Rows = Sequence[Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Voices:
    """A trained stage of a seed, and the tokens of the speech."""

    model: MakeAVoiceLM
    codec: MelCodec
    centroids: Tensor
    pitch: PitchTokens
    frames: Frames
    units: tuple[Rows, Rows]
    """Of the speech to learn from, and to measure with; the same of the next two."""
    f0: tuple[Rows, Rows]
    """Half-tones above 1 Hz, 0 where unvoiced."""
    codes: tuple[Rows, Rows]

    def tokens_of(self, half_tones: Tensor) -> Tensor:
        """Pitch tokens of a contour."""
        hertz = torch.where(half_tones > 0, torch.exp2(half_tones / 12), 0.0)
        return self.pitch.of_f0(hertz)

    @torch.no_grad()
    def decoded(self, codes: Tensor) -> Tensor:
        """Frames [t, m] of codes."""
        latents = self.codec.quantizer.decode(codes[None])
        return self.codec.decoder(latents)[0].T

    def written(self, rows: Sequence[Sequence[Span]], seed: int) -> list[Tensor]:
        """Frames that the stage makes of each row; a row's draws depend on its place alone."""
        made = write_spans(
            self.model, rows, CODES, [TARGET * CODEBOOKS] * len(rows),
            sampling=Sampling(temperature=0.8, top_k=0, top_p=0.95),
            generators=[torch.Generator().manual_seed(1000 * seed + i) for i in range(len(rows))],
        )  # fmt: skip
        return [self.decoded(unflatten_codes(each, CODEBOOKS, SIZE)) for each in made]

    def units_of(self, frames: Tensor) -> Tensor:
        """Units of frames, less their mean."""
        return nearest_units(frames, self.centroids)


def row_of(
    units: Tensor, prompt: Tensor | None, pitch: Tensor | None, codes: Tensor | None = None
) -> list[Span]:
    """A row of the stage; without `codes`, what it reads of it."""
    spans = [] if prompt is None else [Span(PROMPT, flatten_codes(prompt, SIZE))]
    spans.append(Span(UNITS, units))
    spans += [] if pitch is None else [Span(PITCH, pitch)]
    return spans + ([] if codes is None else [Span(CODES, flatten_codes(codes, SIZE))])


def nearest_units(frames: Tensor, centroids: Tensor) -> Tensor:
    """The unit of each frame."""
    bands = frames[:, : MELS - 1]
    return kmeans.nearest(bands - bands.mean(0), centroids)[0]


@lru_cache(maxsize=2)
def _frames(speech: SpeechSet) -> tuple[Frames, tuple[Rows, Rows]]:
    """Frames with F0 in the place of the last band, and the contours."""
    mel = MelUnits(MelUnitsConfig(num_mels=MELS)).mel
    pitch = PitchTokens(PitchTokensConfig())

    def pair(each: LabelledSpeech) -> tuple[Tensor, Tensor]:
        hop = round(SAMPLE_RATE / FRAME_RATE)
        waveform = each.waveform[:, : each.waveform.shape[1] // hop * hop]
        hertz = pitch.f0(pitch.encode(waveform[None])[0, 0])
        bands = mel(waveform[None])[0]
        count = min(len(bands), len(hertz))
        half_tones = torch.where(hertz > 0, 12 * hertz.clamp(min=1).log2(), 0.0)
        return bands[:count], half_tones[:count]

    both = [[pair(each) for each in rows] for rows in (speech.train, speech.test)]
    together = torch.cat([bands for bands, _ in both[0]])
    mean, scale = together.mean(0), together.std()
    heights = torch.cat([f0[f0 > 0] for _, f0 in both[0]])

    def framed(bands: Tensor, f0: Tensor) -> Tensor:
        x = (bands - mean) / scale
        height = (f0 - heights.mean()) / heights.std()
        # Unvoiced frames stand at the mean: no height of theirs is known.
        x[:, -1] = F0_WEIGHT * torch.where(f0 > 0, height, 0.0)
        return x

    train, test = ([framed(*each) for each in rows] for rows in both)
    contours = tuple([f0 for _, f0 in rows] for rows in both)
    return Frames(speech=speech, train=train, test=test), (contours[0], contours[1])


@lru_cache(maxsize=4)
def trained_voices(
    speech: SpeechSet, seed: int, steps: int, codec_steps: int, broken: str | None
) -> Voices:
    """The stage, trained on two windows of each utterance; broken, as in "prompts shuffled", one of
    what it reads is another utterance's."""
    frames, f0 = _frames(speech)
    codec = train_codec(levels(CODEBOOKS, size=SIZE), frames, seed, codec_steps)
    draw = torch.Generator().manual_seed(seed)
    bands = torch.cat([(x - x.mean(0))[:, : MELS - 1] for x in frames.train])
    some = bands[torch.randperm(len(bands), generator=draw)[: 200 * NUM_UNITS]]
    centroids = kmeans.fit(some, NUM_UNITS, iterations=20, generator=draw)
    with torch.no_grad():
        codes = tuple(
            [codec.quantizer.encode(codec.encoder(x.T[None]))[0] for x in rows]
            for rows in (frames.train, frames.test)
        )
    units = tuple(
        [nearest_units(x, centroids) for x in rows] for rows in (frames.train, frames.test)
    )
    pitch = PitchTokens(PitchTokensConfig())
    kinds = acoustic_kinds(
        num_units=NUM_UNITS, unit_rate=FRAME_RATE, num_pitches=pitch.codebook_size,
        num_codebooks=CODEBOOKS, codebook_size=SIZE, frame_rate=FRAME_RATE,
    )  # fmt: skip
    config = SpanLMConfig(kinds=kinds, dim=96, num_heads=4, num_layers=3, dropout=0.0)
    found = Voices(
        model=seeded(seed, lambda: MakeAVoiceLM(config)), codec=codec, centroids=centroids,
        pitch=pitch, frames=frames, units=(units[0], units[1]), f0=f0, codes=(codes[0], codes[1]),
    )  # fmt: skip
    _learn(found, seed, steps, broken)
    return found


def _learn(voices: Voices, seed: int, steps: int, broken: str | None) -> None:
    """Rows as the recipe draws them: one in ten lacks the prompt, every second one the pitch."""
    model, draw = voices.model.train(), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps + 1)
    usable = [i for i, x in enumerate(voices.units[0]) if len(x) >= TARGET + PROMPTED]
    for _ in range(steps):
        rows = []
        for _ in range(ROWS):
            index, other = (usable[int(torch.randint(len(usable), (1,), generator=draw))]
                            for _ in range(2))  # fmt: skip
            shares = torch.rand(4, generator=draw).tolist()
            units, codes = voices.units[0][index], voices.codes[0][index]
            room = len(units) - TARGET - PROMPTED
            start = int(shares[0] * (room + 1))
            prompt_first = shares[1] < 0.5
            prompt = slice(start, start + PROMPTED)
            target = slice(start + PROMPTED, start + PROMPTED + TARGET)
            if not prompt_first:
                target = slice(start, start + TARGET)
                prompt = slice(start + TARGET, start + TARGET + PROMPTED)
            shown = voices.codes[0][other][:, :PROMPTED]
            shown = shown if broken == "prompts shuffled" else codes[:, prompt]
            read = voices.units[0][other][:TARGET]
            read = read if broken == "units shuffled" else units[target]
            contour = voices.f0[0][other][:TARGET]
            contour = contour if broken == "pitch shuffled" else voices.f0[0][index][target]
            rows.append(
                row_of(
                    read,
                    shown if shares[2] >= 0.1 else None,
                    voices.tokens_of(contour) if shares[3] >= 0.5 else None,
                    codes[:, target],
                )
            )
        loss = model.loss(model.batch(rows))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
