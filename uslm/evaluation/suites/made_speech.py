"""Made-up speech with known phonemes, times and speakers: for tests, and where there is no data.

A phoneme is a pair of formants with or without a voice; a speaker has a pitch and a vocal tract.
It is much cleaner than people, so numbers measured on it are of it alone.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from uslm.evaluation.suites.speech_set import (
    PAUSE,
    SAMPLE_RATE,
    LabelledSpeech,
    Segment,
    SpeechSet,
)

FORMANTS = {
    "a": (800, 1300), "i": (300, 2300), "u": (320, 850), "e": (480, 1900), "o": (500, 1000),
    "m": (250, 1150), "l": (380, 1600), "r": (420, 1350),
}  # fmt: skip
"""Hz, of phonemes with a voice."""
HISSES = {"s": 5200, "f": 3600, "h": 1500, "x": 2500}
"""Hz, of phonemes without: the centre of their noise."""
SHORTEST, LONGEST = 0.06, 0.2
"""Seconds of a phoneme."""


def made_speech(
    *, num_train: int, num_test: int, seed: int = 0, num_phonemes: int = 12
) -> SpeechSet:
    """Utterances of random phonemes; six for each speaker, and no test speaker in training."""
    draw = torch.Generator().manual_seed(seed)
    first_test = -(-num_train // 6)
    train = [_utterance(i, i // 6, draw, num_phonemes) for i in range(num_train)]
    test = [_utterance(i, first_test + i // 6, draw, num_phonemes) for i in range(num_test)]
    return SpeechSet(train=tuple(train), test=tuple(test))


def _utterance(
    number: int, speaker: int, draw: torch.Generator, num_phonemes: int
) -> LabelledSpeech:
    voice = torch.Generator().manual_seed(1000 + speaker)
    pitch = 90 + 140 * float(torch.rand((), generator=voice))
    tract = 0.88 + 0.24 * float(torch.rand((), generator=voice))
    symbols = (*FORMANTS, *HISSES)
    picks = torch.randint(len(symbols), (num_phonemes,), generator=draw).tolist()
    seconds = torch.rand(num_phonemes, generator=draw) * (LONGEST - SHORTEST) + SHORTEST
    pause = torch.zeros(SAMPLE_RATE // 10)
    sounds, segments, time = [pause], [Segment(symbol=PAUSE, start=0.0, end=0.1)], 0.1
    for pick, length in zip(picks, seconds.tolist(), strict=True):
        sounds.append(_sound(symbols[pick], length, pitch, tract, draw))
        end = time + len(sounds[-1]) / SAMPLE_RATE
        segments.append(Segment(symbol=symbols[pick], start=time, end=end))
        time = end
    waveform = torch.cat([*sounds, pause])
    waveform = waveform + 0.001 * torch.randn(len(waveform), generator=draw)
    phonemes = tuple(symbols[pick] for pick in picks)
    return LabelledSpeech(
        name=f"made/{speaker}/{number}",
        waveform=waveform[None],
        text=" ".join(phonemes),
        phonemes=phonemes,
        segments=tuple(segments),
        words=tuple(segments[1:]),  # each phoneme is a word
        labels={"speaker": f"made{speaker}"},
    )


def _sound(
    symbol: str, seconds: float, pitch: float, tract: float, draw: torch.Generator
) -> Float[Tensor, " n"]:
    time = torch.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    edge = torch.minimum(time, time.flip(0)).mul(100).clamp(max=1)  # 10 ms
    if symbol in HISSES:
        noise = torch.randn(len(time), generator=draw)
        band = 2 * torch.cos(2 * math.pi * HISSES[symbol] * tract * time)
        smooth = torch.nn.functional.avg_pool1d(noise[None], 9, 1, 4)[0]
        return 0.15 * smooth * band * edge
    harmonics = torch.arange(1, int(4000 / pitch))[:, None] * pitch
    gains = sum(
        torch.exp(-(((harmonics - formant * tract) / 120) ** 2)) for formant in FORMANTS[symbol]
    )
    return 0.3 * ((gains + 0.01) * torch.sin(2 * math.pi * harmonics * time)).sum(0) * edge
