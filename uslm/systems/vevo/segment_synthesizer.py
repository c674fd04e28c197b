"""Segments of text to samples, by Vevo: units side by side, then frames segment by segment."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.generate.autoregressive import StopRule, UnitRow, in_order, speak_units
from uslm.generate.sampling import Sampling
from uslm.synthesis.protocols import SegmentAudio, SegmentRequest, SegmentResult
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import StageTimer
from uslm.systems.vevo.settings import MEL, VevoSettings
from uslm.systems.vevo.steps import VevoParts
from uslm.systems.vevo.voices import timbre_units


class VevoSegmentSynthesizer:
    """Speaks segments. Frames are made row by row: so none depends on those beside it."""

    def __init__(
        self, parts: VevoParts, settings: VevoSettings, sampling: Sampling, timer: StageTimer
    ) -> None:
        self._parts, self._settings = parts, settings
        self._sampling, self._timer = sampling, timer

    def synthesize(self, requests: Sequence[SegmentRequest]) -> Iterator[SegmentAudio]:
        """The whole audio of each segment in order, each as early as it can be had."""
        rows = in_order(self._timer.each("semantic", self._speak(requests)))
        for request, row in zip(requests, rows, strict=True):
            yield self._segment_audio(request, row)

    def synthesize_batch(self, requests: Sequence[SegmentRequest]) -> list[SegmentAudio]:
        """The whole audio of each segment."""
        return list(self.synthesize(requests))

    def _speak(self, requests: Sequence[SegmentRequest]) -> Iterator[list[UnitRow]]:
        speak = torch.inference_mode()(speak_units)
        texts = [self._text(request) for request in requests]
        return speak(
            self._parts.phone_lm,
            texts,
            [
                request.voice.units if len(request.voice.text_ids) else request.voice.units[:0]
                for request in requests
            ],
            [self._stop_rule(len(request.text.text_ids)) for request in requests],
            sampling=self._sampling,
            generators=[generator(request.seed, "semantic") for request in requests],
        )

    def _text(self, request: SegmentRequest) -> Int[Tensor, " s"]:
        """Text of the prompt, then the text to be said, without a mark between."""
        return torch.cat([request.voice.text_ids, torch.tensor(request.text.text_ids)])

    def _stop_rule(self, num_symbols: int) -> StopRule:
        length = self._settings.length
        return StopRule(
            min_frames=max(1, length.min_frames(num_symbols)),
            max_frames=length.max_frames(num_symbols),
        )

    def _segment_audio(self, request: SegmentRequest, row: UnitRow) -> SegmentAudio:
        parts, voice = self._parts, request.voice
        units = row.tensor()
        with self._timer.stage("acoustic"):
            frames = parts.frames(
                units,
                timbre_units(voice),
                voice.extras[MEL],
                self._settings.flow,
                generator(request.seed, "acoustic"),
            )
        with self._timer.stage("decode"):
            waveform = parts.waveform(frames)
        assert row.stop_reason is not None
        result = SegmentResult(request=request, codes=units[None], stop_reason=row.stop_reason)
        return SegmentAudio(request=request, waveform=waveform, result=result)
