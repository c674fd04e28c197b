"""The seam: what the pipeline asks of a model that speaks or converts, whichever system it is.

`ZeroShotTTS`, `Session`, `VoiceConverter`, the commands and the demo use nothing else of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm.generate.autoregressive import SpeakUnits
from uslm.generate.sampling import Sampling
from uslm.models.base import SemanticModel
from uslm.output.joiner import JoinConfig
from uslm.output.speech import no_codes
from uslm.synthesis.plan import PlanConfig
from uslm.synthesis.timer import StageTimer
from uslm.text.frontend import FrontendResult
from uslm.text.lexicon import Lexicon
from uslm.text.score import Score
from uslm.voices.prompt import VoicePrompt
from uslm.voices.verification import VerificationResult, VerifyConfig
from uslm.voices.word_times import WordAligner
from uslm_tokenizer.audio.read import Audio, AudioSource
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import ConfigError

Imitate = Literal["timbre", "style", "both"]
"""What a conversion takes from the voice: how it sounds, its manner (accent, pace, mood), or both;
the rest stays as it was in the recording."""


@dataclass(frozen=True, kw_only=True)
class SynthesizerSettings:
    """Name and language of a model, and its settings unless the caller gives others."""

    name: str
    """Name of the model."""
    language: str = "en-us"
    """Language of its texts, as espeak calls it."""
    languages: tuple[str, ...] = ()
    """All languages that it was trained on; empty: `language` alone."""
    sampling: Sampling = field(default_factory=Sampling)
    """How stage 1 draws, unless the caller says otherwise."""
    batch_size: int = 4
    """Segments of a long text that stage 1 speaks side by side."""
    plan: PlanConfig = field(default_factory=PlanConfig)
    """How a text is cut."""
    join: JoinConfig = field(default_factory=JoinConfig)
    """How its segments are joined."""
    verify: VerifyConfig = field(default_factory=VerifyConfig)
    """When a segment counts as badly spoken."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be 1 or more, but is {self.batch_size}")


@dataclass(frozen=True, kw_only=True, eq=False)
class SegmentRequest:
    """One segment of text to be spoken."""

    index: int
    """Place in the text, from 0."""
    text: FrontendResult
    """The segment and its symbols."""
    voice: VoicePrompt
    """Who speaks it."""
    seed: int
    """All that is drawn for it comes from here."""
    low_latency: bool
    """Whether somebody waits for its first sound."""
    speed: float = 1.0
    """How fast it is said, beside the speed of the whole text; the session sees to it."""
    track: tuple[int, ...] | None = None
    """Index of the symbol that each unit is to be of, where the rhythm is given; see `speak_units`.
    A two-stage model of ours alone looks at it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SegmentResult:
    """A segment that is spoken."""

    request: SegmentRequest
    stop_reason: str
    """See `SegmentReport`."""
    codes: Int[Tensor, "k t"] = field(default_factory=no_codes)
    """All that was drawn; codebook 0 is what stage 1 said. None of a system without codes."""
    latents: Float[Tensor, "d u"] | None = None
    """What a system drew that speaks in vectors."""
    attempts: int = 1
    """How often it was drawn."""
    error_rate: float | None = None
    """Share of phonemes recognised otherwise; None where nobody listened."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SegmentAudio:
    """The next samples of a segment; with the last of them comes the result."""

    request: SegmentRequest
    waveform: Float[Tensor, "1 n"]
    """In [-1, 1], on the CPU."""
    result: SegmentResult | None = None
    written: str = ""
    """What a system that also writes has written meanwhile."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Converted:
    """A recording in another voice."""

    waveform: Float[Tensor, "1 n"]
    """In [-1, 1], on the CPU; as long as the recording, unless a manner is imitated."""
    codes: Int[Tensor, "k t"] = field(default_factory=no_codes)
    """What was said; codebook 0 are the units. None of a system without codes."""
    latents: Float[Tensor, "d u"] | None = None
    """The same of a system that speaks in vectors."""
    written: str = ""
    """What a system that also writes has written of it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """The answer to a question."""

    text: str
    """In writing."""
    waveform: Float[Tensor, "1 n"] = field(default_factory=lambda: torch.zeros(1, 0))
    """In [-1, 1], on the CPU; nothing where it is only written."""
    units: Int[Tensor, " u"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    """Units that it was spoken from."""
    codes: Int[Tensor, "k t"] = field(default_factory=no_codes)
    """Codes of its sound."""


@runtime_checkable
class FrontEnd(Protocol):
    """Text of one language -> the symbols that a model reads."""

    language: str

    def __call__(self, text: str) -> FrontendResult:
        """Raises TextError, naming the reason, if nothing of the text can be said."""
        ...


@runtime_checkable
class SegmentSynthesizer(Protocol):
    """Speaks segments. What it makes of one depends on nothing but the segment itself."""

    def synthesize(self, requests: Sequence[SegmentRequest]) -> Iterator[SegmentAudio]:
        """Audio of the segments in order, each as early as it can be had.

        One that is empty and brings no result says that there is more to do first: whoever asks may
        see to others before it asks again.
        """
        ...

    def synthesize_batch(self, requests: Sequence[SegmentRequest]) -> list[SegmentAudio]:
        """The whole audio of each segment, made side by side."""
        ...


@runtime_checkable
class VoiceMaker(Protocol):
    """A model that knows what a voice is; read only, and shared by all threads."""

    @property
    def settings(self) -> SynthesizerSettings:
        """Its name, and how it is used."""
        ...

    @property
    def hash(self) -> str:
        """Tells these weights from any others."""
        ...

    @property
    def sample_rate(self) -> int:
        """Samples per second of what it makes, Hz."""
        ...

    @property
    def needs_voice(self) -> bool:
        """Whether it is told whose voice; else it gets `NO_VOICE`, and makes none."""
        ...

    @property
    def tokenizer(self) -> AudioTokenizer | None:
        """The tokenizer that decodes the codes of a result; None where no single tokenizer does."""
        ...

    def frontend(self, *, language: str | None = None, lexicon: Lexicon | None = None) -> FrontEnd:
        """The front end for a language, the model's own unless given. UserError of a model that
        reads no text."""
        ...

    def create_voice(
        self,
        frontend: FrontEnd,
        audio: Audio | AudioSource,
        text: str | None = None,
        *,
        name: str | None = None,
        max_seconds: float | None = None,
    ) -> VoicePrompt:
        """See `ZeroShotTTS.create_voice`."""
        ...

    def check_voice(self, voice: VoicePrompt) -> None:
        """Raise ConfigError if the voice was made for another model, UserError if it is damaged."""
        ...

    def render_voice(self, voice: VoicePrompt) -> Float[Tensor, "1 n"]:
        """Recording of a voice, as the voice keeps it; UserError where it cannot be heard."""
        ...

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Its networks by name, to be counted and measured; what is not told of is not there."""
        ...

    @property
    def folder(self) -> Path | None:
        """Folder that it was loaded from; None if it was made here."""
        ...


@runtime_checkable
class Synthesizer(VoiceMaker, Protocol):
    """A model that speaks texts."""

    @property
    def unit_model(self) -> SemanticModel | None:
        """Stage 1, if many requests can take its steps together; None: each goes its own way."""
        ...

    def segment_synthesizer(
        self, sampling: Sampling, timer: StageTimer, speak: SpeakUnits | None = None
    ) -> SegmentSynthesizer:
        """The synthesizer of segments with this sampling, which times each stage. `speak` draws the
        units in place of `unit_model` alone; nobody gives it where that is None."""
        ...

    def word_aligner(self, frontend: FrontEnd) -> WordAligner | None:
        """Finds words in its speech; None where none of its parts recognises phonemes."""
        ...

    def check_can_verify(self) -> None:
        """Raise UserError unless `verify` can be asked."""
        ...

    def verify(
        self, waveform: Float[Tensor, "1 n"], text: FrontendResult, stop_reason: str
    ) -> VerificationResult:
        """The verification of a segment."""
        ...


@runtime_checkable
class VoiceMixer(Protocol):
    """A model that can take the manner of speaking from one voice and the timbre from another."""

    def mixed_voice(self, manner: VoicePrompt, timbre: VoicePrompt) -> VoicePrompt:
        """The voice of both. Raises as `VoiceMaker.check_voice` does."""
        ...


@runtime_checkable
class Converter(VoiceMaker, Protocol):
    """A model that says what a recording says in another voice."""

    @property
    def imitates(self) -> tuple[Imitate, ...]:
        """Aspects of a voice that it can imitate."""
        ...

    def convert(
        self,
        source: Audio,
        voice: VoicePrompt,
        seed: int,
        timer: StageTimer,
        imitate: Imitate = "timbre",
    ) -> Converted:
        """All that is drawn comes from `seed`. Raises AudioError where nothing is to be heard."""
        ...


@runtime_checkable
class Answerer(VoiceMaker, Protocol):
    """A model that answers questions."""

    def answer(
        self,
        question: Audio | str,
        voice: VoicePrompt | None,
        seed: int,
        timer: StageTimer,
        *,
        speak: bool = True,
    ) -> Answer:
        """Text and speech; in the voice of whoever asks, where none is given. All that is drawn
        comes from `seed`. AudioError where nothing is to be heard, UserError of a written question
        without a voice."""
        ...


@runtime_checkable
class Singer(VoiceMaker, Protocol):
    """A model that sings scores."""

    def sing(
        self, score: Score, voice: VoicePrompt, seed: int, timer: StageTimer, frontend: FrontEnd
    ) -> Converted:
        """The words of the score, which the front end reads, to its notes; all that is drawn comes
        from `seed`. UserError of a score that it cannot sing, TextError of words."""
        ...
