"""The tables that every evaluation of speech has: how it sounds, and how long it took."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from uslm.evaluation.metrics.bootstrap import Estimate, estimate
from uslm.evaluation.metrics.scores import Judges, Sample, Scores, judge, summarize
from uslm.evaluation.report.report import Section
from uslm.evaluation.suites.speaking import STAGES, Spoken, waveform_at
from uslm_tokenizer.audio.read import resample

JUDGE_RATE = 16_000
"""Samples per second that all judges work at, Hz."""
STAGE_WORDS = {
    "frontend": "text to phonemes",
    "semantic": "stage 1: phonemes to units",
    "acoustic": "stage 2: units to codes",
    "decode": "codes to samples",
    "verify": "listening",
}

References = Mapping[str, Mapping[str, Float[Tensor, " _"]]]
"""For each measure of likeness, and each prompt: what it should sound like, at JUDGE_RATE."""


@dataclass(frozen=True)
class Scorer:
    """The judges, and where the bootstrap draws from."""

    judges: Judges
    generator: torch.Generator

    def embed(self, waveform: Float[Tensor, " n"]) -> Float[Tensor, " d"] | None:
        """The voice of a waveform, if a speaker model is there."""
        model = self.judges.speaker_model
        return None if model is None else model(waveform)

    def summarize(self, scores: Sequence[Scores]) -> dict[str, Estimate]:
        """See uslm.evaluation.metrics.scores."""
        return summarize(scores, self.generator)


def speech_section(
    spoken: Sequence[Spoken],
    folder: Path,
    scorer: Scorer,
    references: References | None = None,
    *,
    title: str = "Speech from text, in unseen voices",
    likeness: str = "The speaker cosine is to the prompt.",
    by_voice: bool = True,
) -> tuple[Section, list[dict[str, Any]]]:
    """Scores of what was spoken, all and by voice; and every utterance by itself.

    Without `references` it should sound like its prompt, and the measure is `cosine`.
    """
    if references is None:
        references = {"cosine": prompt_waveforms(spoken, folder)}
    vectors = {
        measure: {prompt: scorer.embed(waveform) for prompt, waveform in waveforms.items()}
        for measure, waveforms in references.items()
    }
    samples = [
        Sample(
            name=each.audio,
            waveform=waveform_at(folder / each.audio, JUDGE_RATE),
            text=each.text,
            voices={
                measure: vector
                for measure, by_prompt in vectors.items()
                if (vector := by_prompt[each.prompt]) is not None
            },
        )
        for each in spoken
    ]
    scores = judge(samples, scorer.judges)
    by_speaker: defaultdict[str, list[Scores]] = defaultdict(list)
    for each, score in zip(spoken, scores, strict=True):
        by_speaker[each.speaker].append(score)
    rows = {"all": scorer.summarize(scores)}
    if by_voice:
        rows |= {f"voice {name}": scorer.summarize(row) for name, row in by_speaker.items()}
    note = (
        f"{len(samples)} utterances, {sum(s.seconds for s in spoken):.0f} s, "
        f"{len(by_speaker)} voices. {likeness}"
    )
    failed = sum(bool(each.error) for each in spoken)
    note += f" {failed} of them failed and are silent." if failed else ""
    utterances = [_utterance(*pair) for pair in zip(spoken, scores, strict=True)]
    return Section(title=title, note=note, rows=rows), utterances


def prompt_waveforms(spoken: Sequence[Spoken], folder: Path) -> dict[str, Float[Tensor, " _"]]:
    """Each prompt once, as the judges get it."""
    return {each.prompt: waveform_at(folder / each.prompt, JUDGE_RATE) for each in spoken}


def _utterance(spoken: Spoken, score: Scores) -> dict[str, Any]:
    return {
        "audio": spoken.audio,
        "prompt": spoken.prompt,
        "speaker": spoken.speaker,
        "text": spoken.text,
        "reference": score.words.reference,
        "hypothesis": score.words.hypothesis,
        "wer": round(score.words.wer, 4),
        **{name: round(value, 4) for name, value in score.values.items()},
        "seed": spoken.seed,
        "seconds": round(spoken.seconds, 3),
        "stop_reasons": list(spoken.stop_reasons),
        "attempts": spoken.attempts,
        **({"error": spoken.error} if spoken.error else {}),
    }


def speed_section(spoken: Sequence[Spoken], generator: torch.Generator) -> Section:
    """Seconds of work for each second of speech; below 1 is faster than speaking."""
    done = [each for each in spoken if each.timings]
    seconds = [each.seconds for each in done]

    def factor(stage: str) -> Estimate:
        return estimate([s.timings[stage] for s in done], seconds, generator=generator)

    rows: dict[str, dict[str, Estimate]] = {}
    if done:
        first = estimate([s.timings["first_audio"] for s in done], generator=generator)
        rows["all"] = {"real_time_factor": factor("total"), "first_audio": first}
        for stage in STAGES:
            if any(each.timings[stage] for each in done):
                rows[STAGE_WORDS[stage]] = {"real_time_factor": factor(stage)}
    return Section(
        title="Speed",
        note="Real-time factor: seconds of work for a second of speech, one utterance at a time.",
        rows=rows,
    )


def at_judges(waveform: Float[Tensor, "1 n"], sample_rate: int) -> Float[Tensor, " m"]:
    """A waveform as the judges get it."""
    return resample(waveform, sample_rate, JUDGE_RATE)[0]
