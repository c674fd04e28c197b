"""All judges over a set of samples, and the sums of what they say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from uslm.evaluation.metrics.bootstrap import Estimate, estimate
from uslm.evaluation.metrics.similarity import SpeakerModel, cosine
from uslm.evaluation.metrics.wer import Normalizer, Recognizer, WordErrors, count_errors

QualityModel = Callable[[Float[Tensor, " n"]], Mapping[str, float]]
"""A waveform of 16 kHz -> named opinion scores."""


@dataclass(frozen=True, kw_only=True)
class Judges:
    """Recognisers and models that score speech. One that is None is not asked."""

    recognizer: Recognizer
    """Writes down what is said."""
    normalize: Normalizer
    """Makes spellings comparable."""
    speaker_model: SpeakerModel | None = None
    """Knows voices."""
    quality_model: QualityModel | None = None
    """Says how good it sounds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Speech to be judged."""

    name: str
    waveform: Float[Tensor, " n"]
    """At 16 kHz."""
    text: str
    """What it should say."""
    voices: Mapping[str, Float[Tensor, " _"]] = field(default_factory=dict)
    """For each measure of likeness: the speaker model's vector of what it should sound like."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of one sample by all judges."""

    name: str
    words: WordErrors
    values: Mapping[str, float] = field(default_factory=dict)
    """Every other measure by name."""


def judge(samples: Sequence[Sample], judges: Judges) -> list[Scores]:
    """The scores of each sample, in order."""
    hypotheses = judges.recognizer([sample.waveform for sample in samples])
    scores = []
    for sample, hypothesis in zip(samples, hypotheses, strict=True):
        values: dict[str, float] = {}
        if judges.speaker_model is not None and sample.voices:
            vector = judges.speaker_model(sample.waveform)
            values |= {name: cosine(vector, voice) for name, voice in sample.voices.items()}
        if judges.quality_model is not None:
            values |= judges.quality_model(sample.waveform)
        words = count_errors(sample.text, hypothesis, judges.normalize)
        scores.append(Scores(name=sample.name, words=words, values=values))
    return scores


def summarize(scores: Sequence[Scores], generator: torch.Generator) -> dict[str, Estimate]:
    """Each measure over all samples.

    `wer` and `cer` are of the corpus (all errors over all words); `wer_mean` is the mean of the
    utterances' own rates, in which a short one weighs as much as a long one.
    """
    words = [score.words for score in scores]
    summary = {
        "wer": estimate(
            [w.word_errors for w in words], [w.words for w in words], generator=generator
        ),
        "wer_mean": estimate([w.wer for w in words], generator=generator),
        "cer": estimate(
            [w.character_errors for w in words],
            [w.characters for w in words],
            generator=generator,
        ),
    }
    for name in dict.fromkeys(name for score in scores for name in score.values):
        values = [score.values[name] for score in scores if name in score.values]
        summary[name] = estimate(values, generator=generator)
    return summary
