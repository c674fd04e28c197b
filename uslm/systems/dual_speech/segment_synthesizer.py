"""Text to units, those to codes, and codes to samples: the spoken half of DualSpeechLM."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.generate.cascade import Stage, run_stages
from uslm.generate.continuation import go_on
from uslm.generate.sampling import Sampling
from uslm.models.spans import Span
from uslm.output.samples import checked_samples
from uslm.synthesis.protocols import SegmentAudio, SegmentRequest, SegmentResult
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import StageTimer
from uslm.systems.dual_speech.decoder import CODES, SPEAKER, TEXT, UNITS, text_bytes
from uslm.systems.dual_speech.model import DualLM
from uslm.systems.dual_speech.settings import VECTOR, DualSpeechSettings
from uslm_tokenizer.base import AudioTokenizer


@dataclass(frozen=True, eq=False)
class Spoken:
    """Speech that follows a prompt."""

    units: Int[Tensor, " t"]
    codes: Int[Tensor, " n"]
    waveform: Float[Tensor, "1 samples"]
    stop_reason: str


class DualSpeaker:
    """The chain of condition: units after the text, codes after text and units."""

    def __init__(
        self,
        lm: DualLM,
        stage: Stage,
        codec: AudioTokenizer,
        settings: DualSpeechSettings,
        sampling: Sampling,
        timer: StageTimer,
    ) -> None:
        self._lm, self._stage, self._codec = lm, stage, codec
        self._settings, self._sampling, self._timer = settings, sampling, timer

    @torch.no_grad()
    def speak(
        self, prompt: Sequence[Span], text: str, vector: Float[Tensor, "1 d"], seed: int
    ) -> Spoken:
        """Speech of a text, which the prompt ends with, in a voice."""
        letters = text_bytes(text)
        most = self._settings.length.max_frames(len(letters))
        with self._timer.stage("semantic"):
            units = go_on(
                self._lm, prompt, "speech", max_tokens=most, sampling=self._sampling,
                generator=generator(seed, "semantic"), min_tokens=self._settings.min_units,
            )  # fmt: skip
        given = {SPEAKER: vector, TEXT: letters, UNITS: units}
        with self._timer.stage("acoustic"):
            codes = run_stages(
                [self._stage], given, sampling=self._settings.code_sampling,
                generator=generator(seed, "acoustic"),
            )[CODES]  # fmt: skip
        with self._timer.stage("decode"):
            made = self._codec.decode(codes[None, None].to(self._codec.device))[0].float().cpu()
        self._timer.audio()
        return Spoken(
            units=units,
            codes=codes,
            waveform=checked_samples(made, repr(text)),
            stop_reason="end" if len(units) < most else "length",
        )


class DualSegmentSynthesizer:
    """Speaks segments one by one: so none depends on those beside it."""

    def __init__(self, speaker: DualSpeaker) -> None:
        self._speaker = speaker

    def synthesize(self, requests: Sequence[SegmentRequest]) -> Iterator[SegmentAudio]:
        """The whole audio of each segment, in order."""
        for request in requests:
            prompt = [Span("text", torch.tensor(request.text.text_ids))]
            vector = request.voice.extras[VECTOR]
            spoken = self._speaker.speak(prompt, request.text.normalized, vector, request.seed)
            result = SegmentResult(
                request=request, codes=spoken.codes[None], stop_reason=spoken.stop_reason
            )
            yield SegmentAudio(request=request, waveform=spoken.waveform, result=result)

    def synthesize_batch(self, requests: Sequence[SegmentRequest]) -> list[SegmentAudio]:
        """The whole audio of each segment."""
        return list(self.synthesize(requests))
