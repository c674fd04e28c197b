"""Work of the long text's buttons, without a page: prepare, speak, speak a segment again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import torch.nn.functional as F

from uslm.synthesis.long_form_job import LongFormJob
from uslm.text.script import parse_script
from uslm.voices.prompt import VoicePrompt
from uslm.voices.store import VoiceStore
from uslm_demo.model import Model
from uslm_demo.speaking import OnAudio, SpeakOptions
from uslm_demo.voices import named_voice, voice_names


@dataclass(frozen=True, kw_only=True)
class ReadOptions(SpeakOptions):
    """Settings of a long text."""

    sentence_seconds: float = 0.3
    """Rest after a sentence."""
    paragraph_seconds: float = 0.6
    """Rest after a paragraph."""


def script_voices(
    model: Model, text: str, store: VoiceStore, narrator: VoicePrompt
) -> dict[str, VoicePrompt]:
    """The voices that a script asks for, and the narrator by name. TextError for unknown ones."""
    segments = parse_script(text, script_names(store, narrator.name))
    names = sorted({segment.voice for segment in segments} - {"", narrator.name})
    return {narrator.name: narrator, **{name: named_voice(model, store, name) for name in names}}


def script_names(store: VoiceStore, narrator: str = "") -> tuple[str, ...]:
    """Names that a script may call its voices."""
    return (*voice_names(store), *((narrator,) if narrator else ()))


def prepare(
    model: Model,
    text: str,
    voice: VoicePrompt,
    voices: dict[str, VoicePrompt] | None,
    options: ReadOptions,
) -> LongFormJob:
    """Cut the text into segments; nothing is spoken yet."""
    overrides = asdict(options)
    plan = replace(
        model.settings().plan,
        sentence_seconds=overrides.pop("sentence_seconds"),
        paragraph_seconds=overrides.pop("paragraph_seconds"),
    )
    call = model.engine().call(
        lambda tts: tts.long_form_job(
            text, voice, voices=voices, plan=plan, any_language=model.any_language, **overrides
        )
    )
    return call.result()


def read_out(
    model: Model,
    long_form_job: LongFormJob,
    indices: Sequence[int] | None = None,
    *,
    on_audio: OnAudio | None = None,
) -> Iterator[int]:
    """Speak what is missing, or these segments again; yields each that is done. `on_audio` gets
    the samples of each, and the rest after it."""
    rests = {line.index: line.pause_seconds for line in long_form_job.lines}
    utterance = model.engine().run(lambda _: long_form_job.stream(indices))
    try:
        for chunk in utterance:
            if chunk.report is not None:
                if on_audio is not None:
                    rest = round(rests[chunk.index] * chunk.sample_rate)
                    on_audio(F.pad(chunk.waveform, (0, rest)))
                yield chunk.index
    finally:
        utterance.cancel()
