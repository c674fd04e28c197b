"""From a file to what pretrained systems make a voice of: examined, cut, its words known."""

from dataclasses import dataclass

from uslm.synthesis.protocols import FrontEnd
from uslm.systems.phoneme_recognizer import PhonemeRecognizer
from uslm.voices.policy import Finding
from uslm.voices.prompt import VoiceOrigin
from uslm.voices.prompt_preprocessing import examine_prompt
from uslm.voices.recording import (
    doubts,
    open_recording,
    prompt_policy,
    voice_name,
    voice_origin,
)
from uslm_tokenizer.audio.read import Audio, AudioSource

MAX_MISMATCH = 0.6
"""Phoneme error rate of a transcript, against what is recognised, beyond which it is doubted."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Recorded:
    """A recording that is fit to be a voice."""

    audio: Audio
    """Mono, levelled and trimmed, at the rate that was asked for."""
    transcript: str | None
    """What is said in it, where somebody said so."""
    phonemes: str
    """Its phonemes in the system's symbols; in ours, by the recogniser, where there is no
    transcript."""
    text_ids: tuple[int, ...] | None
    """What the system reads for it; None where only the recogniser knows."""
    name: str
    findings: tuple[Finding, ...]
    origin: VoiceOrigin


def record(
    audio: Audio | AudioSource,
    text: str | None,
    *,
    frontend: FrontEnd,
    recognizer: PhonemeRecognizer,
    sample_rate: int,
    used_seconds: float,
    max_seconds: float | None = None,
    name: str | None = None,
) -> Recorded:
    """Examine a recording for a system that uses `used_seconds` of it, at `sample_rate`.

    Raises AudioError where nothing of it is usable, TextError if the text cannot be read.
    """
    policy = prompt_policy(used_seconds, max_seconds)
    if text is not None:
        frontend(text)  # a text that cannot be read is refused before any work
    prompt = examine_prompt(
        open_recording(audio, policy),
        sample_rate=sample_rate,
        text=text,
        align=recognizer.aligner(sample_rate),
        policy=policy,
    )
    kept = Audio(prompt.waveform, sample_rate)
    findings, text_ids = list(prompt.findings), None
    if prompt.text is None:
        phonemes = recognizer.phonemes(kept)
    else:
        read = frontend(prompt.text)
        phonemes, text_ids = read.phonemes, read.text_ids
        findings += doubts(
            recognizer.phoneme_ids(prompt.text), recognizer.recognize(kept), MAX_MISMATCH
        )
    return Recorded(
        audio=kept,
        transcript=prompt.text,
        phonemes=phonemes,
        text_ids=text_ids,
        name=name or voice_name(audio),
        findings=tuple(findings),
        origin=voice_origin(audio),
    )
