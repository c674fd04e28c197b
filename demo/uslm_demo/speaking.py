"""What the buttons do, without a page: speak a text, or convert a recording."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from uslm.pipeline.prompt import VoicePrompt
from uslm.pipeline.prompt_policy import PromptPolicy
from uslm.pipeline.speech import AudioChunk, ChunkReport, Speech
from uslm.pipeline.tts import ZeroShotTTS
from uslm_demo.engine import Engine
from uslm_tokenizer.audio import Audio, read_audio
from uslm_tokenizer.errors import AudioError, TextError, UserError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one visitor may ask for."""

    max_chars: int = 2_000
    """Longest text, characters."""
    max_source_seconds: float = 60.0
    """Longest recording that is converted; what comes after is left out."""
    max_upload: str = "20mb"
    """Largest file, as Gradio writes it."""
    max_waiting: int = 16
    """Requests that may wait; further ones are refused."""


@dataclass(frozen=True, kw_only=True)
class SpeakOptions:
    """How a text is spoken; None is the model's own choice."""

    seed: int | None = None
    """Drawn where there is none."""
    temperature: float | None = None
    """See `Sampling`."""
    top_k: int | None = None
    """See `Sampling`."""
    top_p: float | None = None
    """See `Sampling`."""
    verify: bool = False
    """Whether each piece is listened to, and bad ones are drawn again."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """Speech, and the voice that it was made with."""

    speech: Speech
    voice: VoicePrompt


@dataclass(frozen=True, kw_only=True, eq=False)
class Progress:
    """How far the work is."""

    status: str
    """Some plain words."""
    chunks: tuple[ChunkReport, ...] = ()
    """The pieces that are done."""
    made: Made | None = None
    """The result; it comes last."""


def speak(
    engine: Engine,
    text: str,
    recording: str | None,
    transcript: str = "",
    options: SpeakOptions | None = None,
    limits: Limits | None = None,
) -> Iterator[Progress]:
    """Speak the text in the voice of the recording. Closing the iterator stops the work."""
    options, limits = options or SpeakOptions(), limits or Limits()
    if len(text) > limits.max_chars:
        raise TextError(f"the text may have {limits.max_chars} characters, but has {len(text)}")
    path = _needed(recording, "a recording of the voice")
    if not engine.is_loaded:
        yield Progress(status="Loading the model …")
    tts = engine.tts()
    yield Progress(status="Listening to the voice …")
    voice = create_voice(tts, path, transcript)
    num_pieces = 0

    def count(report: ChunkReport, total: int) -> None:
        nonlocal num_pieces
        num_pieces = total

    parts: list[AudioChunk] = []
    for part in tts.stream(
        text,
        voice,
        seed=options.seed,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        verify=options.verify,
        on_chunk=count,
    ):
        parts.append(part)
        if part.waveform.numel() or part.report:
            yield _so_far(parts, num_pieces)
    made = Made(speech=Speech.joined(parts), voice=voice)
    yield Progress(status=_summary(made), chunks=made.speech.chunks, made=made)


def convert(
    engine: Engine,
    source: str | None,
    recording: str | None,
    seed: int | None = None,
    limits: Limits | None = None,
) -> Iterator[Progress]:
    """Say what the source says in the voice of the recording."""
    limits = limits or Limits()
    source = _needed(source, "a recording to convert")
    path = _needed(recording, "a recording of the voice")
    if not engine.is_loaded:
        yield Progress(status="Loading the model …")
    converter = engine.converter()
    yield Progress(status="Listening to the voice …")
    voice = create_voice(engine.tts(), path)
    audio = _read(source, limits.max_source_seconds)
    yield Progress(status=f"Converting {audio.seconds:.1f} s …")
    made = Made(speech=converter.convert(audio, voice, seed=seed), voice=voice)
    status = _summary(made)
    if audio.source is not None and not audio.source.complete:
        status += f"\nOnly the first {audio.seconds:.0f} s were converted."
    yield Progress(status=status, made=made)


def read_seed(text: str) -> int | None:
    """What was typed as a seed; None where nothing was."""
    if not text.strip():
        return None
    try:
        return int(text)
    except ValueError:
        raise UserError(f"the seed must be a whole number or empty, but is {text!r}") from None


def create_voice(tts: ZeroShotTTS, recording: str, transcript: str = "") -> VoicePrompt:
    """A voice from a recording; without a transcript its phonemes are recognised."""
    audio = _read(recording, PromptPolicy().read_seconds)
    return tts.create_voice(audio, transcript.strip() or None, name=Path(recording).stem)


def _needed(recording: str | None, what: str) -> str:
    if not recording:
        raise AudioError(f"give {what}: upload a file, or use the microphone")
    return recording


def _read(path: str, max_seconds: float) -> Audio:
    """Read an upload; what is wrong with it is said without the folder that it lies in."""
    try:
        return read_audio(path, max_seconds=max_seconds)
    except UserError as problem:
        raise type(problem)(str(problem).replace(path, Path(path).name)) from problem


def _so_far(parts: list[AudioChunk], num_pieces: int) -> Progress:
    reports = tuple(part.report for part in parts if part.report is not None)
    seconds = sum(part.waveform.shape[-1] for part in parts) / parts[0].sample_rate
    status = f"{seconds:.1f} s of speech so far"
    if num_pieces:
        status += f", {len(reports)} of {num_pieces} pieces done"
    return Progress(status=status + " …", chunks=reports)


def _summary(made: Made) -> str:
    """What was made, and what there is to say about the voice."""
    speech, voice = made.speech, made.voice
    lines = [
        f"{speech.seconds:.1f} s of speech in {speech.timings.total:.1f} s, seed {speech.seed}.",
        f"Voice: {voice.seconds:.1f} s of {voice.name!r}.",
        *(f"{finding.severity.capitalize()}: {finding.message}." for finding in voice.findings),
    ]
    if voice.transcript is None:
        lines.append(f"Heard in the voice: /{voice.phonemes}/")
    return "\n".join(lines)
