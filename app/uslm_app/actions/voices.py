"""The voices of `--prompt`, `--voice` and a script: opened before the model loads, made after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from uslm.voices.names import default_folder
from uslm.voices.prompt import VoicePrompt
from uslm.voices.prompt_preprocessing import Finding, PromptPolicy, examine_prompt
from uslm.voices.recording import open_recording
from uslm.voices.stock import stock_name
from uslm_app.actions import engine
from uslm_app.cli.console import Console
from uslm_app.cli.given import VoiceCreateOptions
from uslm_app.cli.inputs import is_voice_file, read_prompt
from uslm_app.cli.option_groups import MannerOptions
from uslm_tokenizer.audio.read import Audio, AudioSource

EMBEDDED_RATE = 16_000
"""Samples per second that speaker models work at, Hz."""


class VoiceMaker(Protocol):
    """ZeroShotTTS and VoiceConverter."""

    def create_voice(
        self, audio: Audio | AudioSource, text: str | None = None, *, name: str | None = None
    ) -> VoicePrompt: ...

    def stock_voice(self, name: str) -> VoicePrompt: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class VoiceSource:
    """A saved voice, or a recording that is to become one."""

    name: str
    """What the voice is called."""
    seconds: float
    """How much of the recording is used."""
    findings: tuple[Finding, ...]
    """What is odd about the recording, as far as it is known without a model."""
    saved: VoicePrompt | None = None
    recording: Audio | None = None
    text: str | None = None
    """What is said in the recording, where somebody said so."""
    stock: str | None = None
    """Which stock voice it is; a model of another tokenizer makes it again."""

    def voice(self, maker: VoiceMaker, console: Console) -> VoicePrompt:
        """The voice for a model; what was noticed about a recording is said aloud."""
        if self.stock is not None:
            return maker.stock_voice(self.stock)
        if self.saved is not None:
            return self.saved
        assert self.recording is not None
        voice = maker.create_voice(self.recording, self.text, name=self.name)
        tell_findings(voice.findings, console)
        return voice


def open_voice(
    *,
    prompt: str | None,
    voice: str | None = None,
    text: str | None = None,
    name: str | None = None,
) -> VoiceSource:
    """Read and examine a voice, or a recording in which `text` is said; AudioError or ConfigError
    if it is neither."""
    if voice is not None:
        return _open_saved(voice)
    assert prompt is not None, "options are checked before"
    source = _open_recording(prompt)
    return replace(source, name=name or source.name, text=text)


def open_roles(
    roles: Mapping[str, str], narrator: VoiceSource, narrator_file: str | None
) -> dict[str, VoiceSource]:
    """The voices of a script, by name; each file is opened once."""
    opened = {narrator_file: narrator}
    for path in roles.values():
        if path not in opened:
            opened[path] = _open_either(path)
    return {name: opened[path] for name, path in roles.items()}


def open_manner(options: MannerOptions) -> VoiceSource | None:
    """The voice of `--manner`, where one is given."""
    if options.manner is None:
        return None
    return replace(_open_either(options.manner), text=options.manner_text)


def make_voices(
    narrator: VoiceSource,
    roles: Mapping[str, VoiceSource] | None,
    maker: VoiceMaker,
    console: Console,
) -> tuple[VoicePrompt, dict[str, VoicePrompt] | None]:
    """The voice of a text, and those after its marks; each source becomes a voice once."""
    made = {narrator: narrator.voice(maker, console)}
    for source in (roles or {}).values():
        if source not in made:
            made[source] = source.voice(maker, console)
    if roles is None:
        return made[narrator], None
    return made[narrator], {name: replace(made[each], name=name) for name, each in roles.items()}


def _open_either(path: str) -> VoiceSource:
    return _open_saved(path) if is_voice_file(path) else _open_recording(path)


def _open_saved(path: str) -> VoiceSource:
    saved = load_voice(path)
    return VoiceSource(
        name=saved.name, seconds=saved.seconds, findings=saved.findings, saved=saved,
        stock=stock_name(path),
    )  # fmt: skip


def _open_recording(path: str) -> VoiceSource:
    recording = open_recording(read_prompt(path), PromptPolicy())
    prepared = examine_prompt(recording)
    return VoiceSource(
        name="voice" if path == "-" else Path(path).stem,
        seconds=prepared.seconds,
        findings=prepared.findings,
        recording=recording,
    )


def load_voice(path: str) -> VoicePrompt:
    """A voice file; a kept voice is called what it is kept under."""
    voice = VoicePrompt.load(path)
    is_kept = Path(path).parent == default_folder()
    return replace(voice, name=Path(path).stem) if is_kept else voice


def make_voice(source: VoiceSource, options: VoiceCreateOptions, console: Console) -> VoicePrompt:
    """The voice of a recording, with what the options say about it."""
    embed = None
    if options.speaker_model is not None:
        from uslm.evaluation.judges.loading import load_speaker_model

        embed = load_speaker_model(options.speaker_model)  # before the model: it may be missing
    if options.enhance is not None:
        assert source.recording is not None
        enhancer = engine.load_enhancer(options.enhance, options)
        source = replace(source, recording=enhancer.clean_prompt(source.recording))
    voice = source.voice(engine.load_tts(options), console)
    voice = replace(voice, licence=options.licence, consent=options.consent)
    if embed is None or options.speaker_model is None:
        return voice
    assert source.recording is not None
    vector = embed(source.recording.resampled(EMBEDDED_RATE).waveform[0]).detach().float().cpu()
    return replace(voice, speaker_embedding=vector, speaker_model=options.speaker_model)


def tell_findings(findings: Iterable[Finding], console: Console) -> None:
    """Say what was noticed about a prompt, each in its own line."""
    for finding in findings:
        say = console.note if finding.severity == "info" else console.warn
        say(f"prompt: {finding.message}")


def describe(voice: VoicePrompt) -> dict[str, Any]:
    """Facts of a voice, as JSON values."""
    num_codebooks, num_frames = voice.codes.shape
    return {
        "name": voice.name,
        "seconds": round(voice.seconds, 3),
        "transcript": voice.transcript,
        "phonemes": voice.phonemes,
        "num_codebooks": num_codebooks,
        "num_frames": num_frames,
        "extras": sorted(voice.extras),
        "speaker": voice.speaker_model or None,
        "licence": voice.licence,
        "consent": voice.consent,
        "recording": voice.origin.recording or None,
        "made_at": voice.origin.made_at or None,
        "made_with": voice.origin.made_with or None,
        "model": voice.model,
        "model_hash": voice.model_hash or None,
        "tokenizer_hash": voice.tokenizer_hash,
        "findings": [finding.message for finding in voice.findings],
    }
