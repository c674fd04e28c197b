"""The checks of the prompt preprocessing: each looks at one thing, and says it with its numbers."""

from collections.abc import Iterable, Iterator

import numpy as np

from uslm.voices import speech_activity as activity
from uslm.voices.policy import Finding, PromptPolicy
from uslm.voices.speech_activity import Levels, Mask, Samples
from uslm_tokenizer.errors import AudioError

MIN_RECORDING_SECONDS = 0.1


def check_recording(
    samples: Samples, sample_rate: int, warnings: Iterable[str], policy: PromptPolicy
) -> Iterator[Finding]:
    """Findings of the reader; raises AudioError where nothing can be examined."""
    seconds = len(samples) / sample_rate
    if seconds < MIN_RECORDING_SECONDS:
        raise AudioError(f"too short: {seconds:.2f} s in all; {policy.wanted}")
    if bad := int((~np.isfinite(samples)).sum()):
        raise AudioError(f"{bad:,} samples are NaN or infinite; export the recording anew")
    for warning in warnings:
        yield Finding(code="file", severity="warning", message=warning)


def check_clipping(samples: Samples, policy: PromptPolicy) -> Iterator[Finding]:
    """Before resampling, which smears clipped peaks. A lossy coding smears them too.

    Of clean speech at most 0.015 % lies within 1 % of its peak.
    """
    magnitude = np.abs(samples)
    peak = float(magnitude.max())
    share = float(np.mean(magnitude >= 0.99 * peak)) if peak > 0 else 0.0
    if share >= policy.clipped_share:
        yield Finding(
            code="clipped",
            severity="error" if share >= policy.max_clipped_share else "warning",
            message=f"clipped: {100 * share:.1f} % of the samples are at the peak; record it "
            "again with less gain",
        )


def check_level(levels: Levels, policy: PromptPolicy) -> Iterator[Finding]:
    """Raises AudioError for silence, as there is nothing to turn up."""
    loud, speech = activity.loud_level(levels), activity.speech_level(levels)
    if loud < policy.silent_dbfs:
        raise AudioError(
            f"silent: its loudest part is at {loud:.0f} dBFS; speech must be above "
            f"{policy.silent_dbfs:g} dBFS"
        )
    if speech < policy.quiet_dbfs:
        yield Finding(
            code="quiet",
            severity="warning",
            message=f"very quiet: speech at {speech:.0f} dBFS, {policy.quiet_dbfs:g} dBFS or more "
            "are better; it is turned up, and its noise with it",
        )


def check_speech(
    samples: Samples, sample_rate: int, levels: Levels, speech: Mask, policy: PromptPolicy
) -> Iterator[Finding]:
    """Whether there is speech, and enough of it. Music passes: it is as lively as speech."""
    runs = activity.spans(speech)
    if not runs:
        yield _no_speech("only clicks under 0.05 s are heard")
        return
    seconds = activity.speech_seconds(speech)
    if seconds < policy.min_seconds:
        yield Finding(
            code="too_short",
            severity="error",
            message=f"too short: {seconds:.2f} s of speech in "
            f"{len(levels) * activity.HOP_SECONDS:.2f} s; {policy.wanted}",
        )
    elif seconds < policy.good_seconds:
        yield Finding(
            code="short",
            severity="warning",
            message=f"short: {seconds:.1f} s of speech make a rough likeness; {policy.wanted}",
        )
    movement = activity.level_variation(levels[runs[0][0] : runs[-1][1]])
    colour = activity.spectral_variation(samples, sample_rate, speech)
    numbers = f"its level moves by {movement:.1f} dB and its spectrum by {colour:.1f} dB"
    if movement < 3:
        yield _no_speech(f"it is steady as a hum, a tone or noise is ({numbers})")
    elif colour < 2.3:
        yield _no_speech(f"it is one and the same sound again and again ({numbers})")
    elif colour < 3.5:
        yield Finding(
            code="doubtful_speech",
            severity="warning",
            message=f"hardly like speech: {numbers}, in clean speech by more than 15 and 5",
        )


def check_noise(levels: Levels, policy: PromptPolicy) -> Iterator[Finding]:
    """Finding of how far speech is above what is heard in its pauses."""
    snr = activity.signal_to_noise(levels)
    if snr < policy.min_snr_db:
        yield Finding(
            code="noisy",
            severity="warning",
            message=f"noisy: speech is {snr:.0f} dB above the noise, {policy.min_snr_db:g} dB or "
            "more are better; the noise will be heard in the voice",
        )


def _no_speech(reason: str) -> Finding:
    return Finding(code="no_speech", severity="error", message=f"no speech: {reason}")
