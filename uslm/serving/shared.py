"""One model of ours for many requests at once: their rows of stage 1 go through the same steps."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from uslm.generate.autoregressive import UnitRow
from uslm.generate.sampling import Sampling
from uslm.serving.pool import PoolRow, UnitPool
from uslm.synthesis.protocols import (
    FrontEnd,
    SegmentRequest,
    SegmentSynthesizer,
    SynthesizerSettings,
)
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import StageTimer
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.segment_synthesizer import BundleSegmentSynthesizer
from uslm.text.frontend import FrontendResult
from uslm.text.lexicon import Lexicon
from uslm.voices.prompt import VoicePrompt
from uslm.voices.verification import VerificationResult
from uslm_tokenizer.audio.read import Audio, AudioSource
from uslm_tokenizer.base import AudioTokenizer


class SharedSynthesizer:
    """A `Synthesizer` whose readers share one pool; it belongs to one thread.

    Whoever pulls at one reader moves the rows of all. What comes out of each is what the bundle
    makes of it alone: stage 2 and the decoder see one request at a time.
    """

    def __init__(self, bundle: Bundle, num_slots: int) -> None:
        self.bundle = bundle
        self.pool = UnitPool(bundle.semantic, num_slots)

    @property
    def settings(self) -> SynthesizerSettings:
        return self.bundle.settings

    @property
    def hash(self) -> str:
        return self.bundle.hash

    @property
    def sample_rate(self) -> int:
        return self.bundle.sample_rate

    @property
    def tokenizer(self) -> AudioTokenizer | None:
        return self.bundle.tokenizer

    def frontend(self, *, language: str | None = None, lexicon: Lexicon | None = None) -> FrontEnd:
        return self.bundle.frontend(language=language, lexicon=lexicon)

    def create_voice(
        self,
        frontend: FrontEnd,
        audio: Audio | AudioSource,
        text: str | None = None,
        *,
        name: str | None = None,
        max_seconds: float | None = None,
    ) -> VoicePrompt:
        return self.bundle.create_voice(frontend, audio, text, name=name, max_seconds=max_seconds)

    def check_voice(self, voice: VoicePrompt) -> None:
        self.bundle.check_voice(voice)

    def segment_synthesizer(self, sampling: Sampling, timer: StageTimer) -> SegmentSynthesizer:
        return SharedSegmentSynthesizer(self.bundle, self.pool, sampling, timer)

    def check_can_verify(self) -> None:
        self.bundle.check_can_verify()

    def verify(
        self, waveform: Float[Tensor, "1 n"], text: FrontendResult, stop_reason: str
    ) -> VerificationResult:
        return self.bundle.verify(waveform, text, stop_reason)


class SharedSegmentSynthesizer(BundleSegmentSynthesizer):
    """A reader that draws its units in a pool."""

    pauses: ClassVar[bool] = True

    def __init__(
        self, bundle: Bundle, pool: UnitPool, sampling: Sampling, timer: StageTimer
    ) -> None:
        super().__init__(bundle, sampling, timer)
        self._pool = pool

    def _speak_units(self, requests: Sequence[SegmentRequest]) -> Iterator[list[UnitRow]]:
        rows = [self._row(request) for request in requests]
        for row in rows:
            self._pool.join(row)
        try:
            # A step that somebody else has asked for meanwhile serves us as well.
            seen = self._pool.steps
            while True:
                if self._pool.steps == seen:
                    self._pool.step()
                for row in rows:
                    if row.error is not None:
                        raise row.error
                seen, is_over = self._pool.steps, all(row.stop_reason for row in rows)
                yield list(rows)
                if is_over:
                    return
        finally:
            for row in rows:
                self._pool.leave(row)

    def _row(self, request: SegmentRequest) -> PoolRow:
        text_ids, prompt_units = self._prompt(request)
        return PoolRow(
            text_ids=text_ids,
            prompt_units=prompt_units,
            prompt_pitches=self._prompt_pitches(request),
            stop=self._stop_rule(len(request.text.text_ids)),
            sampling=self._sampling,
            generator=generator(request.seed, "semantic"),
            owner=self,
        )
