"""From a recording to samples that a voice can be made of: read, trimmed, cut, levelled.

The checks and the arithmetic are those of `uslm.voices.prompt_preprocessing`, of which this is the
part that needs no PyTorch; where a transcript would have to be cut, it is left out.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from uslm.voices import checks
from uslm.voices import speech_activity as activity
from uslm.voices.length import find_cut
from uslm.voices.policy import Finding, PromptPolicy
from uslm.voices.speech_activity import HOP_SECONDS, Samples
from uslm_tokenizer.errors import AudioError, MissingResource

FADE_SECONDS = 0.005


@dataclass(frozen=True, kw_only=True, eq=False)
class PromptAudio:
    """A recording as the model wants it."""

    samples: Samples
    """Mono, levelled, trimmed."""
    is_cut: bool
    """Whether some of its speech was left out."""
    findings: tuple[Finding, ...]
    """What was noticed."""


def read_recording(path: str | Path, policy: PromptPolicy) -> tuple[Samples, int]:
    """As much of a recording as is worth reading, mixed to mono, and its sample rate."""
    path = Path(path)
    if not path.is_file():
        raise MissingResource(f"there is no recording {str(path)!r}")
    try:
        with soundfile.SoundFile(path) as file:
            count = math.ceil(policy.read_seconds * file.samplerate)
            channels = file.read(count, dtype="float32", always_2d=True)
            return channels.mean(axis=1), int(file.samplerate)
    except soundfile.LibsndfileError as problem:
        raise AudioError(f"{str(path)!r} cannot be read: {problem}") from problem


def prepare_prompt(
    samples: Samples, from_rate: int, sample_rate: int, policy: PromptPolicy
) -> PromptAudio:
    """Raises AudioError where nothing usable is left."""
    findings = [*checks.check_recording(samples, from_rate, (), policy)]
    findings += checks.check_clipping(samples, policy)
    samples = samples - np.float32(samples.mean())
    if from_rate != sample_rate:
        samples = soxr.resample(samples, from_rate, sample_rate, quality="HQ")
    levels = activity.frame_levels(samples, sample_rate)
    findings += checks.check_level(levels, policy)
    speech = activity.find_speech(levels)
    findings += checks.check_speech(samples, sample_rate, levels, speech, policy)
    findings += checks.check_noise(levels, policy)
    for finding in findings:
        if finding.severity == "error":
            raise AudioError(finding.message)
    runs = activity.spans(speech) or [(0, len(speech))]
    start = max(0.0, runs[0][0] * HOP_SECONDS - policy.margin_seconds)
    seconds = len(samples) / sample_rate
    end = min(seconds, runs[-1][1] * HOP_SECONDS + policy.margin_seconds)
    is_cut = end - start > policy.max_seconds
    if is_cut:
        cut = find_cut(
            levels, speech, start=start, limit=policy.max_seconds, margin=policy.margin_seconds
        )
        end = cut.seconds
        findings.append(
            Finding(
                code="cut",
                severity="info" if cut.pause_seconds else "warning",
                message=f"{seconds:.1f} s long, of which at most {policy.max_seconds:g} s are "
                f"used: {start:.1f} to {end:.1f} s",
            )
        )
    part = samples[round(start * sample_rate) : round(end * sample_rate)]
    return PromptAudio(
        samples=_levelled(part, sample_rate, policy), is_cut=is_cut, findings=tuple(findings)
    )


def _levelled(part: Samples, sample_rate: int, policy: PromptPolicy) -> Samples:
    """With the speech at the wanted level, or near, and both ends faded."""
    level = activity.speech_level(activity.frame_levels(part, sample_rate))
    peak = 20 * math.log10(max(float(np.abs(part).max()), 1e-6))
    change = min(policy.level_dbfs - level, policy.peak_dbfs - peak)
    levelled = (part * np.float32(10 ** (change / 20))).astype(np.float32)
    ramp = np.linspace(0, 1, round(FADE_SECONDS * sample_rate), dtype=np.float32)
    levelled[: len(ramp)] *= ramp
    levelled[-len(ramp) :] *= ramp[::-1]
    return levelled
