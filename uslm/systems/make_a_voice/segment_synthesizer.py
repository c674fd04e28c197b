"""Segments of text to samples, by Make-A-Voice: each by its own draws, one after the other."""

from collections.abc import Iterator, Sequence

import torch

from uslm.generate.cascade import Stage
from uslm.generate.sampling import Sampling
from uslm.synthesis.protocols import SegmentAudio, SegmentRequest, SegmentResult
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import StageTimer
from uslm.systems.make_a_voice.settings import MakeAVoiceSettings
from uslm.systems.make_a_voice.speaking import UnitsToSpeech, read_units


class MakeAVoiceSegmentSynthesizer:
    """Speaks segments."""

    def __init__(
        self,
        stages: Sequence[Stage],
        spoken: UnitsToSpeech,
        settings: MakeAVoiceSettings,
        sampling: Sampling,
        timer: StageTimer,
    ) -> None:
        self._stages, self._spoken, self._settings = stages, spoken, settings
        self._sampling, self._timer = sampling, timer

    def synthesize(self, requests: Sequence[SegmentRequest]) -> Iterator[SegmentAudio]:
        """The whole audio of each segment in order, each as early as it can be had."""
        yield from map(self._speak, requests)

    def synthesize_batch(self, requests: Sequence[SegmentRequest]) -> list[SegmentAudio]:
        """The whole audio of each segment."""
        return list(self.synthesize(requests))

    @torch.inference_mode()
    def _speak(self, request: SegmentRequest) -> SegmentAudio:
        text_ids, length = request.text.text_ids, self._settings.length
        with self._timer.stage("semantic"):
            draws = generator(request.seed, "semantic")
            units = read_units(self._stages, text_ids, length, self._sampling, draws)
        stopped = len(units) >= length.max_frames(len(text_ids))
        draws = generator(request.seed, "acoustic")
        made = self._spoken("speak", units, request.voice, draws, self._timer)
        result = SegmentResult(
            request=request, codes=made.codes, stop_reason="length" if stopped else "end"
        )
        return SegmentAudio(request=request, waveform=made.waveform, result=result)
