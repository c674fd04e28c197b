"""One model for many requests at once: their rows of stage 1 go through the same steps."""

from collections.abc import Mapping
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from uslm.generate.autoregressive import SpeakUnits
from uslm.generate.sampling import Sampling
from uslm.models.base import SemanticModel
from uslm.serving.pool import UnitPool
from uslm.synthesis.protocols import (
    FrontEnd,
    SegmentSynthesizer,
    Synthesizer,
    SynthesizerSettings,
)
from uslm.synthesis.timer import StageTimer
from uslm.text.frontend import FrontendResult
from uslm.text.lexicon import Lexicon
from uslm.voices.prompt import VoicePrompt
from uslm.voices.verification import VerificationResult
from uslm.voices.word_times import WordAligner
from uslm_tokenizer.audio.read import Audio, AudioSource
from uslm_tokenizer.base import AudioTokenizer


class SharedSynthesizer:
    """A `Synthesizer` whose requests share the steps of one pool; it belongs to one thread.

    Whoever pulls at one request moves the rows of all. What comes out of each is what the model
    makes of it alone: stage 2 and the decoder see one request at a time. All else is the model's.
    """

    def __init__(self, model: Synthesizer, unit_model: SemanticModel, num_slots: int) -> None:
        """`unit_model` is the model's own."""
        self._model = model
        self.unit_model: SemanticModel | None = unit_model
        self.pool = UnitPool(unit_model, num_slots)

    def segment_synthesizer(
        self, sampling: Sampling, timer: StageTimer, speak: SpeakUnits | None = None
    ) -> SegmentSynthesizer:
        return self._model.segment_synthesizer(sampling, timer, speak or self.pool.for_one())

    @property
    def settings(self) -> SynthesizerSettings:
        return self._model.settings

    @property
    def hash(self) -> str:
        return self._model.hash

    @property
    def sample_rate(self) -> int:
        return self._model.sample_rate

    @property
    def needs_voice(self) -> bool:
        return self._model.needs_voice

    @property
    def tokenizer(self) -> AudioTokenizer | None:
        return self._model.tokenizer

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return self._model.networks

    @property
    def folder(self) -> Path | None:
        return self._model.folder

    def frontend(self, *, language: str | None = None, lexicon: Lexicon | None = None) -> FrontEnd:
        return self._model.frontend(language=language, lexicon=lexicon)

    def create_voice(
        self,
        frontend: FrontEnd,
        audio: Audio | AudioSource,
        text: str | None = None,
        *,
        name: str | None = None,
        max_seconds: float | None = None,
    ) -> VoicePrompt:
        return self._model.create_voice(frontend, audio, text, name=name, max_seconds=max_seconds)

    def check_voice(self, voice: VoicePrompt) -> None:
        self._model.check_voice(voice)

    def render_voice(self, voice: VoicePrompt) -> Float[Tensor, "1 n"]:
        return self._model.render_voice(voice)

    def word_aligner(self, frontend: FrontEnd) -> WordAligner | None:
        return self._model.word_aligner(frontend)

    def check_can_verify(self) -> None:
        self._model.check_can_verify()

    def verify(
        self, waveform: Float[Tensor, "1 n"], text: FrontendResult, stop_reason: str
    ) -> VerificationResult:
        return self._model.verify(waveform, text, stop_reason)
