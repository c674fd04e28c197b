"""The voice that a visitor asks for: one that is kept, or a recording that is to become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from uslm.voices.policy import PromptPolicy
from uslm.voices.prompt import VoicePrompt
from uslm.voices.prompt_preprocessing import examine_prompt
from uslm.voices.stock import stock_voices
from uslm.voices.store import VoiceStore
from uslm_demo.model import Model
from uslm_tokenizer.audio.read import Audio, read_audio
from uslm_tokenizer.errors import AudioError, UserError


@dataclass(frozen=True, kw_only=True)
class VoiceChoice:
    """A choice of a voice."""

    kept: str = ""
    """Name of a kept voice, or else of a stock voice; empty: the recording."""
    recording: str | None = None
    """Path of an upload."""
    transcript: str = ""
    """What is said in it; empty: its sounds are recognised."""

    @classmethod
    def asked(cls, kept: str | None, recording: str | None, transcript: str | None) -> VoiceChoice:
        """Choice by the fields; those that were never shown say None."""
        return cls(kept=kept or "", recording=recording, transcript=(transcript or "").strip())


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedVoice:
    """A choice whose voice was made already."""

    choice: VoiceChoice
    voice: VoicePrompt


def find_voice(
    model: Model, store: VoiceStore, choice: VoiceChoice, prepared: PreparedVoice | None = None
) -> VoicePrompt:
    """The voice, ready to speak with; what was made before is not made again."""
    if prepared is not None and prepared.choice == choice:
        return prepared.voice
    tts = model.tts()
    if choice.kept:
        return named_voice(model, store, choice.kept)
    path = needed(choice.recording, "a recording of the voice")
    return tts.create_voice(read_prompt(path), choice.transcript or None, name=Path(path).stem)


def voice_names(store: VoiceStore) -> list[str]:
    """All voices that have a name: those that are kept, then stock voices."""
    kept = store.names()
    return [*kept, *(name for name in stock_voices() if name not in kept)]


def named_voice(model: Model, store: VoiceStore, name: str) -> VoicePrompt:
    """A kept voice, or else the stock voice of that name."""
    tts = model.tts()
    if name in stock_voices() and name not in store.names():
        return tts.stock_voice(name)
    voice = store.load(name)
    tts.synthesizer.check_voice(voice)
    return voice


def check_recording(recording: str | None) -> None:
    """Raise AudioError if no voice can be made of it; needs no model."""
    path = needed(recording, "a recording of the voice")
    examine_prompt(read_prompt(path))


def make_voice(
    model: Model,
    choice: VoiceChoice,
    name: str,
    *,
    consent: str,
    licence: str = "",
    prepared: PreparedVoice | None = None,
) -> VoicePrompt:
    """A voice to be kept, of a recording. UserError where nobody says who agreed."""
    check_consent(consent)
    assert not choice.kept
    voice = find_voice(model, VoiceStore(), choice, prepared)
    return replace(
        voice, name=name.strip(), consent=consent.strip(), licence=licence.strip() or None
    )


def check_consent(consent: str) -> None:
    """Raise UserError where nobody says who agreed."""
    if not consent.strip():
        raise UserError("say whose voice it is, and that they agreed; without that it is not kept")


def import_voice(model: Model, store: VoiceStore, path: str) -> VoicePrompt:
    """Keep a voice file that was uploaded, under the name that the file has."""
    voice = replace(VoicePrompt.load(path), name=Path(path).stem)
    model.tts().synthesizer.check_voice(voice)
    store.save(voice)
    return voice


def listen(model: Model, voice: VoicePrompt) -> Audio:
    """Recording that a voice was made of."""
    tts = model.tts()
    return Audio(tts.synthesizer.render_voice(voice), tts.sample_rate)


def describe(voice: VoicePrompt) -> str:
    """Report on a voice that was just heard, in Markdown."""
    lines = [f"Uses {voice.seconds:.1f} s."]
    lines += [
        f"**{finding.severity.capitalize()}:** {finding.message}." for finding in voice.findings
    ]
    return "\n\n".join(lines)


def facts(voice: VoicePrompt) -> Sequence[tuple[str, str]]:
    """Facts of a kept voice: names and values."""
    known = {
        "Length": f"{voice.seconds:.1f} s",
        "Transcript": voice.transcript,
        "Consent": voice.consent,
        "Licence": voice.licence,
        "Recording": voice.origin.recording,
        "Made": voice.origin.made_at,
        "Model": voice.model,
    }
    return [(name, value) for name, value in known.items() if value]


def needed(recording: str | None, what: str) -> str:
    """The path of an upload. AudioError if there is none."""
    if not recording:
        raise AudioError(f"give {what}: upload a file, or use the microphone")
    return recording


def read_prompt(path: str) -> Audio:
    """As much of a recording of a voice as is worth reading; silence before it does not count."""
    policy = PromptPolicy()
    return read(path, policy.read_seconds, silent_dbfs=policy.quiet_dbfs)


def read(path: str, max_seconds: float, *, silent_dbfs: float | None = None) -> Audio:
    """Read an upload; what is wrong with it is said without the folder that it lies in."""
    try:
        return read_audio(path, max_seconds=max_seconds, silent_dbfs=silent_dbfs)
    except UserError as problem:
        raise type(problem)(str(problem).replace(path, Path(path).name)) from problem
