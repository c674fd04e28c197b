"""Vevo's style conversion of real speech, through content and content-style tokenizers of its own.

Both tokenizers are RepCodecs of the same log-mel frames, with codebooks of two sizes; the language
model says content units anew as content-style units, after a prompt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from effect_codec import FRAME_RATE, frames_of, seeded
from effect_repcodec import repcodec_codes, trained_repcodec
from torch import Tensor

from uslm.evaluation.suites.encoded import EncodedSpeech
from uslm.evaluation.suites.speech_set import PAUSE, SAMPLE_RATE, LabelledSpeech, SpeechSet
from uslm.generate.autoregressive import StopRule, speak_units
from uslm.generate.sampling import Sampling
from uslm.systems.vevo.lm import VevoLM, VevoLMConfig
from uslm_tokenizer.codecs.repcodec.model import RepCodec
from uslm_tokenizer.codecs.source_filter.pitch import PitchConfig, estimate_f0
from uslm_tokenizer.sequence.dedup import deduplicate

CONTENT_SIZE, STYLE_SIZE = 32, 512
SPAN, MADE_UP_SPAN = 60, 25
"""Frames of a prompt, and of what is said anew; made-up speech is shorter."""
BATCH = 12
"""Rows of a training step."""
REFERENCES = 4
"""Speakers whose manner each source is said in."""
QUICK_STEPS, FULL_STEPS = 300, 3000
"""Training steps of the language model, at `--quick` and without."""
OWN, REFERENCE, OTHER = "manner of the source", "manner of the reference", "manner of a third"
NO_CONTENT = "content of other speech"


@dataclass(frozen=True, kw_only=True, eq=False)
class Heard:
    """An utterance from its first phoneme on, in units."""

    content: Tensor
    style: Tensor
    f0: Tensor
    """Semitones above 1 Hz at each frame, 0 where unvoiced."""
    pace: float
    """Frames of a phoneme, without pauses."""
    ends: Tensor
    """Frame that each phoneme ends at."""
    speaker: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Said:
    """Part of an utterance, said anew."""

    source: int
    """Which of the test's utterances."""
    units: Tensor
    content: Tensor
    """Content units of the source without repeats, that were to be said."""
    num_phonemes: int
    """Of the part."""
    reference: Heard


@dataclass(frozen=True, kw_only=True, eq=False)
class Conversions:
    """All that was said anew, and what reads it."""

    by_arm: Mapping[str, Sequence[Said]]
    f0_of_unit: Tensor
    """Mean semitones of each content-style unit in training."""
    voiced: Tensor
    """Share of each unit's frames that are voiced."""
    content: RepCodec
    style: RepCodec

    def pitch(self, units: Tensor) -> float:
        """Mean pitch that units stand for, semitones."""
        weight = self.voiced[units]
        return float((weight * self.f0_of_unit[units]).sum() / weight.sum().clamp(min=1e-6))

    def said(self, units: Tensor) -> Tensor:
        """Content units without repeats of content-style units: both tokenizers share a feature."""
        features = self.style.decode(units[None, None])
        return without_repeats(self.content.encode(features)[0, 0])


def without_repeats(units: Tensor) -> Tensor:
    """As the language model reads content."""
    found: Tensor = deduplicate(units)[0]
    return found


@lru_cache(maxsize=4)
def _pitches(speech: SpeechSet) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Semitones of each frame of each utterance, to learn from and to measure with."""

    def of(each: LabelledSpeech) -> Tensor:
        hop = round(SAMPLE_RATE / FRAME_RATE)
        f0 = estimate_f0(each.waveform[0], SAMPLE_RATE, hop, PitchConfig())
        return torch.where(f0 > 0, 12 * f0.clamp(min=1).log2(), 0.0)

    return [of(each) for each in speech.train], [of(each) for each in speech.test]


def _heard(
    content: Sequence[EncodedSpeech], style: Sequence[EncodedSpeech], f0: Sequence[Tensor]
) -> list[Heard]:
    return [
        _one(each.speech, each.codes[0], styled.codes[0], pitch)
        for each, styled, pitch in zip(content, style, f0, strict=True)
    ]


def _one(speech: LabelledSpeech, content: Tensor, style: Tensor, f0: Tensor) -> Heard:
    sounds = [each for each in speech.segments if each.symbol != PAUSE]
    first = round(sounds[0].start * FRAME_RATE)
    length = sum(each.end - each.start for each in sounds)
    return Heard(
        content=content[first:],
        style=style[first:],
        f0=f0[first : len(content)],
        pace=length * FRAME_RATE / len(sounds),
        ends=torch.tensor([each.end * FRAME_RATE - first for each in sounds]),
        speaker=speech.labels["speaker"],
    )


@lru_cache(maxsize=8)
def conversions(
    speech: SpeechSet, seed: int, *, steps: int, codec_steps: int, span: int, broken: bool
) -> Conversions:
    """Every source of the test in the manner of each arm's prompt; broken, the reference's prompt
    is another's."""
    frames = frames_of(speech)
    content, style = (
        trained_repcodec(speech, seed, codec_steps, size) for size in (CONTENT_SIZE, STYLE_SIZE)
    )
    read, spoken = (repcodec_codes(each, frames) for each in (content, style))
    pitches = _pitches(speech)
    learnt, asked = (
        [row for row in _heard(*rows) if len(row.content) >= 2 * span]
        for rows in ((read.train, spoken.train, pitches[0]), (read.test, spoken.test, pitches[1]))
    )
    units, pitch = (torch.cat(rows) for rows in ([r.style for r in learnt], [r.f0 for r in learnt]))
    count, voices, total = (
        torch.zeros(STYLE_SIZE).index_add(0, units, each.float())
        for each in (torch.ones_like(pitch), pitch > 0, pitch)
    )
    overall = total.sum() / voices.sum()
    return Conversions(
        by_arm=_say(
            _language_model(learnt, seed, steps, span), asked, seed, span=span, broken=broken
        ),
        f0_of_unit=(total + overall) / (voices + 1),
        voiced=voices / count.clamp(min=1),
        content=content,
        style=style,
    )


def _language_model(rows: Sequence[Heard], seed: int, steps: int, span: int) -> VevoLM:
    """Trained on stretches of any length: of one length alone it would learn that, and no pace."""
    config = VevoLMConfig(
        text_vocab_size=CONTENT_SIZE, codebook_size=STYLE_SIZE, dim=96, hidden_dim=192,
        num_heads=4, num_layers=2,
    )  # fmt: skip
    model: VevoLM = seeded(seed, lambda: VevoLM(config)).train()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        texts, spoken = [], []
        for place in torch.randint(len(rows), (BATCH,), generator=draw).tolist():
            row = rows[place]
            length = int(torch.randint(span, len(row.content) + 1, (1,), generator=draw))
            start = int(torch.randint(len(row.content) - length + 1, (1,), generator=draw))
            cut = slice(start, start + length)
            texts.append(without_repeats(row.content[cut]))
            spoken.append(row.style[cut])
        optimizer.zero_grad()
        model.loss(model.batch(texts, spoken)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


def _say(
    model: VevoLM, rows: Sequence[Heard], seed: int, *, span: int, broken: bool
) -> Mapping[str, Sequence[Said]]:
    """The second span of each row, after the first of its own or of another."""
    stop = StopRule(min_frames=span // 4, max_frames=3 * span)
    sampling = Sampling(temperature=0.8, top_k=50, top_p=0.9)
    tasks = [(place, nth) for place in range(len(rows)) for nth in range(REFERENCES)]
    found = {}
    for arm in (REFERENCE, OWN, OTHER, NO_CONTENT):
        texts, prompts = [], []
        for place, nth in tasks:
            source, third = rows[place], _another(rows, place, nth + 1)
            by_arm = {OWN: source, OTHER: third}
            prompt = by_arm.get(arm, third if broken else _another(rows, place, nth))
            read = third if arm == NO_CONTENT else source
            content = torch.cat([prompt.content[:span], read.content[span : 2 * span]])
            texts.append(without_repeats(content))
            prompts.append(prompt.style[:span])
        draws = [torch.Generator().manual_seed(1000 * seed + i) for i in range(len(tasks))]
        steps = speak_units(
            model, texts, prompts, [stop] * len(tasks), sampling=sampling, generators=draws
        )
        [made] = deque(steps, maxlen=1)  # all rows, when the last of them has stopped
        found[arm] = [
            _said(rows, place, _another(rows, place, nth), row.tensor(), span)
            for row, (place, nth) in zip(made, tasks, strict=True)
        ]
    return found


def _said(rows: Sequence[Heard], place: int, reference: Heard, units: Tensor, span: int) -> Said:
    source = rows[place]
    inside = (source.ends > span) & (source.ends <= 2 * span)
    return Said(
        source=place,
        units=units,
        content=without_repeats(source.content[span : 2 * span]),
        num_phonemes=max(1, int(inside.sum())),
        reference=reference,
    )


def _another(rows: Sequence[Heard], place: int, nth: int) -> Heard:
    """The first row of the nth other speaker after this one, round and round."""
    found: dict[str, Heard] = {}
    for step in range(1, len(rows)):
        row = rows[(place + step) % len(rows)]
        if row.speaker != rows[place].speaker:
            found.setdefault(row.speaker, row)
    return list(found.values())[nth % len(found)]
