"""Make a voice prompt out of any recording: mend what can be mended, and say what was found."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from uslm.voices import checks
from uslm.voices import speech_activity as activity
from uslm.voices.length import AlignedWord, Cut, cut_words, find_cut
from uslm.voices.policy import Finding, PromptPolicy, Severity
from uslm.voices.speech_activity import HOP_SECONDS, Mask, Samples
from uslm_tokenizer.audio.read import Audio, resample
from uslm_tokenizer.errors import AudioError

__all__ = ["Align", "Finding", "PreparedPrompt", "PromptPolicy", "examine_prompt"]

Align = Callable[[Float[Tensor, "1 n"], str], Sequence[AlignedWord]]
"""Says where the words of a text lie in a waveform: word, begin and end in seconds."""

# A cut in the middle of a sound would click.
FADE_SECONDS = 0.005


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedPrompt:
    """A prompt as a model wants it."""

    waveform: Float[Tensor, "1 n"]
    """Mono, levelled, trimmed."""
    sample_rate: int
    """Samples per second of `waveform`, Hz."""
    text: str | None
    """What is said in `waveform`; None where it is not known."""
    findings: tuple[Finding, ...]
    """All that was noticed, in the order of the checks."""
    kept: tuple[float, float]
    """Where `waveform` lies in the recording, in seconds."""
    level_change_db: float
    """How much louder it was made."""

    @property
    def seconds(self) -> float:
        """Length of what was kept."""
        return self.waveform.shape[-1] / self.sample_rate


def examine_prompt(
    audio: Audio,
    *,
    sample_rate: int = 16_000,
    text: str | None = None,
    align: Align | None = None,
    policy: PromptPolicy | None = None,
) -> PreparedPrompt:
    """Check a recording, and bring it to the model's rate, level and length.

    Where a long recording is cut, `text` is cut with it: `align` says where its words lie in a
    waveform at `sample_rate`. Without `align` the text is dropped, for a transcript that says more
    than is heard makes a model speak the rest. Raises AudioError where nothing usable is left.
    """
    return _Examination(audio, sample_rate, policy or PromptPolicy()).run(text, align)


class _Examination:
    """One pass over one recording; collects what it finds on the way."""

    def __init__(self, audio: Audio, sample_rate: int, policy: PromptPolicy) -> None:
        self.audio, self.sample_rate, self.policy = audio, sample_rate, policy
        self.findings: list[Finding] = []

    def run(self, text: str | None, align: Align | None) -> PreparedPrompt:
        try:
            return self._run(" ".join((text or "").split()) or None, align)
        except AudioError as error:
            name = self.audio.source.name if self.audio.source else "the prompt"
            raise AudioError(f"{name}: {error}") from error

    def _run(self, text: str | None, align: Align | None) -> PreparedPrompt:
        policy = self.policy
        samples = self._samples()
        levels = activity.frame_levels(samples, self.sample_rate)
        self._note(checks.check_level(levels, policy))
        speech = activity.find_speech(levels)
        self._note(checks.check_speech(samples, self.sample_rate, levels, speech, policy))
        self._note(checks.check_noise(levels, policy))

        start, end = self._trim(speech)
        cut = None
        if end - start > policy.max_seconds:
            cut = find_cut(
                levels, speech, start=start, limit=policy.max_seconds, margin=policy.margin_seconds
            )
        if text is not None and (cut is not None or self._is_partly_read):
            waveform, _ = self._levelled(samples, start, end)
            text, end = self._cut_text(text, align, waveform, start, cut.seconds if cut else end)
        elif cut is not None:
            end = cut.seconds
        if cut is not None:
            self._say_cut(cut, start, end)

        waveform, change = self._levelled(samples, start, end)
        if abs(change) >= 6:
            self._say(
                "level", "info", f"turned {'up' if change > 0 else 'down'} by {abs(change):.0f} dB"
            )
        return PreparedPrompt(
            waveform=waveform,
            sample_rate=self.sample_rate,
            text=text,
            findings=tuple(self.findings),
            kept=(self._passed_over + start, self._passed_over + end),
            level_change_db=change,
        )

    def _note(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            if finding.severity == "error" and self.policy.refuse:
                raise AudioError(finding.message)
            self.findings.append(finding)

    def _say(self, code: str, severity: Severity, message: str) -> None:
        self._note([Finding(code=code, severity=severity, message=message)])

    @property
    def _passed_over(self) -> float:
        """Seconds of silence that were not even read."""
        return self.audio.source.start_seconds if self.audio.source else 0.0

    @property
    def _is_partly_read(self) -> bool:
        return self.audio.source is not None and not self.audio.source.complete

    def _samples(self) -> Samples:
        """The recording at the model's rate, without a constant offset."""
        waveform = self.audio.waveform
        recorded = waveform[0].numpy(force=True)
        warnings = self.audio.source.warnings if self.audio.source else ()
        self._note(checks.check_recording(recorded, self.audio.sample_rate, warnings, self.policy))
        self._note(checks.check_clipping(recorded, self.policy))
        offset = float(waveform.mean())
        if abs(offset) >= 0.01:
            self._say("offset", "info", f"a constant offset of {offset:+.3f} was taken away")
        resampled = resample(waveform - offset, self.audio.sample_rate, self.sample_rate)
        samples: Samples = resampled[0].numpy(force=True)
        return samples

    def _trim(self, speech: Mask) -> tuple[float, float]:
        """Seconds where speech begins and ends, with a margin; all where there is none."""
        whole = self.audio.seconds
        runs = activity.spans(speech) or [(0, len(speech))]
        start = max(0.0, runs[0][0] * HOP_SECONDS - self.policy.margin_seconds)
        end = min(whole, runs[-1][1] * HOP_SECONDS + self.policy.margin_seconds)
        if (silence := self._passed_over + start + whole - end) >= 0.3:
            self._say("trimmed", "info", f"{silence:.1f} s of silence at the ends were taken away")
        return start, end

    def _cut_text(
        self,
        text: str,
        align: Align | None,
        waveform: Float[Tensor, "1 n"],
        start: float,
        end: float,
    ) -> tuple[str | None, float]:
        """The text up to `end`, and the end, moved so that no word is cut in two."""
        words = list(align(waveform, text)) if align else []
        kept, length = cut_words(words, end - start)
        if not kept:
            reason = "none of its words could be found" if align else "its words cannot be placed"
            self._say(
                "text_dropped",
                "warning",
                f"the transcript is not used: only a part of the recording is, and {reason}; "
                f"give {self.policy.max_seconds:g} s or less, with the words said in them",
            )
            return None, end
        if len(kept) < len(words):
            self._say(
                "text_cut",
                "info",
                f"the transcript is cut with the audio: {len(kept)} of {len(words)} words, up to "
                f"{kept[-1]!r}",
            )
        return " ".join(kept), start + length

    def _say_cut(self, cut: Cut, start: float, end: float) -> None:
        source = self.audio.source
        total = max(source.seconds, self.audio.seconds) if source else self.audio.seconds
        where = (
            f"up to a pause of {cut.pause_seconds:.1f} s"
            if cut.pause_seconds
            else "up to a soft place in the speech, as there is no pause"
        )
        self._say(
            "cut",
            "info" if cut.pause_seconds else "warning",
            f"{total:.1f} s long, of which at most {self.policy.max_seconds:g} s are used: "
            f"{self._passed_over + start:.1f} to {self._passed_over + end:.1f} s, {where}",
        )

    def _levelled(
        self, samples: Samples, start: float, end: float
    ) -> tuple[Float[Tensor, "1 m"], float]:
        """A part with its speech at the wanted level, or near, and the change in dB."""
        part = samples[round(start * self.sample_rate) : round(end * self.sample_rate)]
        level = activity.speech_level(activity.frame_levels(part, self.sample_rate))
        peak = 20 * math.log10(max(float(np.abs(part).max()), 1e-6))
        change = min(self.policy.level_dbfs - level, self.policy.peak_dbfs - peak)
        levelled = (part * np.float32(10 ** (change / 20))).astype(np.float32)
        ramp = np.linspace(0, 1, round(FADE_SECONDS * self.sample_rate), dtype=np.float32)
        levelled[: len(ramp)] *= ramp
        levelled[-len(ramp) :] *= ramp[::-1]
        return torch.from_numpy(levelled)[None], change
