"""Work of the buttons, without a page: speak a text, or convert a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from jaxtyping import Float
from torch import Tensor

from uslm.output.speech import AudioChunk, SegmentReport, Speech
from uslm.synthesis.language import check_text_language
from uslm.synthesis.plan import plan_text
from uslm.synthesis.protocols import Imitate
from uslm.synthesis.seeds import resolve_seed
from uslm.voices.prompt import VoicePrompt
from uslm_demo.limits import Limits
from uslm_demo.model import Model
from uslm_demo.voices import needed, read
from uslm_tokenizer.errors import TextError, UserError

OnAudio = Callable[[Float[Tensor, "1 n"]], object]
"""Takes samples as they are made."""


@dataclass(frozen=True, kw_only=True)
class SpeakOptions:
    """Settings of a text, as `ZeroShotTTS.stream` has them; None is the model's own choice."""

    seed: int | None = None
    """Drawn where there is none."""
    temperature: float | None = None
    """See `Sampling`."""
    top_k: int | None = None
    """See `Sampling`."""
    top_p: float | None = None
    """See `Sampling`."""
    speed: float = 1.0
    """1 is as fast as the model speaks."""
    verify: bool = False
    """Whether each segment is verified, and bad ones are regenerated."""


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """Phonemes of a stretch of the codes."""

    num_frames: int
    """Length of the stretch."""
    phonemes: str
    """What was asked of the model; empty where nobody knows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """Speech, and the voice that it was made with."""

    speech: Speech
    voice: VoicePrompt
    segments: tuple[Spoken, ...] = ()
    """What its codes say, in order; empty where there was no text."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Progress:
    """Progress of the work."""

    status: str
    """Some plain words."""
    segments: tuple[SegmentReport, ...] = ()
    """The segments that are done."""
    num_segments: int = 0
    """Segments in all; 0 while nobody knows."""
    made: Made | None = None
    """The result; it comes last."""


def speak(
    model: Model,
    text: str,
    voice: VoicePrompt,
    options: SpeakOptions | None = None,
    *,
    on_audio: OnAudio | None = None,
) -> Iterator[Progress]:
    """Speak the text; `on_audio` gets the samples as they are made. Closing the iterator stops
    it."""
    reports: list[SegmentReport] = []
    num_segments = 0

    def count(report: SegmentReport, total: int) -> None:
        nonlocal num_segments
        num_segments = total

    overrides = asdict(options or SpeakOptions())
    overrides["any_language"] = model.any_language
    utterance = model.engine().submit(text, voice, **overrides, on_segment=count)
    parts: list[AudioChunk] = []
    try:
        for part in utterance:
            parts.append(part)
            if on_audio is not None:
                on_audio(part.waveform)
            if part.report is not None:
                reports.append(part.report)
            yield _so_far(parts, reports, num_segments)
    finally:
        utterance.cancel()
    made = Made(speech=Speech.joined(parts), voice=voice, segments=_segments(parts))
    yield Progress(
        status=summary(made.speech),
        segments=made.speech.segments,
        num_segments=num_segments,
        made=made,
    )


def convert(
    model: Model,
    source: str | None,
    voice: VoicePrompt,
    seed: int | None = None,
    limits: Limits | None = None,
    imitate: Imitate = "timbre",
) -> Iterator[Progress]:
    """Say what the source says in the voice, or in its manner."""
    limits = limits or Limits()
    audio = read(needed(source, "a recording to convert"), limits.max_source_seconds)
    converter = model.converter()
    yield Progress(status=f"Converting {audio.seconds:.1f} s …")
    made = Made(speech=converter.convert(audio, voice, imitate=imitate, seed=seed), voice=voice)
    status = summary(made.speech)
    if audio.source is not None and not audio.source.complete:
        status += f"\nOnly the first {audio.seconds:.0f} s were converted."
    yield Progress(status=status, made=made)


def check_text(model: Model, text: str, most: int, voices: tuple[str, ...] | None = None) -> None:
    """Raise TextError if the text cannot be spoken; needs no weights."""
    if len(text) > most:
        raise TextError(f"the text may have {most:,} characters, but has {len(text):,}")
    frontend = model.frontend()
    if not model.any_language:
        check_text_language(text, frontend, model.settings())
    problem: TextError | None = None
    for segment in plan_text(text, model.settings().plan, voices):
        if segment.is_pause:
            continue
        try:
            frontend(segment.text)
            return
        except TextError as error:
            problem = problem or error
    assert problem is not None  # a plan has something to say
    raise problem


def read_seed(text: str) -> int | None:
    """Seed that was typed; None where nothing was."""
    if not text.strip():
        return None
    try:
        seed = int(text)
    except ValueError:
        raise UserError(f"the seed must be a whole number or empty, but is {text!r}") from None
    return resolve_seed(seed)


def summary(speech: Speech) -> str:
    """Summary of what was made."""
    seconds = speech.timings.total
    return f"{speech.seconds:.1f} s of speech, made in {seconds:.1f} s. Seed {speech.seed}."


def _segments(parts: list[AudioChunk]) -> tuple[Spoken, ...]:
    return tuple(
        Spoken(num_frames=part.codes.shape[1], phonemes=part.report.phonemes)
        for part in parts
        if part.codes is not None and part.report is not None
    )


def _so_far(parts: list[AudioChunk], reports: list[SegmentReport], num_segments: int) -> Progress:
    seconds = sum(part.waveform.shape[-1] for part in parts) / parts[0].sample_rate
    status = f"{seconds:.1f} s of speech so far"
    if num_segments:
        status += f", {len(reports)} of {num_segments} segments done"
    return Progress(status=status + " …", segments=tuple(reports), num_segments=num_segments)
