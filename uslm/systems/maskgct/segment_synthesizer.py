"""Segments of text to samples, by MaskGCT: each segment whole, stage after stage."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.generate.masked import fill_masked
from uslm.generate.sampling import Sampling
from uslm.models.masked import MaskedRow
from uslm.output.samples import checked_samples
from uslm.synthesis.protocols import SegmentAudio, SegmentRequest, SegmentResult
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import StageTimer
from uslm.systems.maskgct.stages import UNITS, MaskGCTSettings, MaskGCTStages


class MaskGCTSegmentSynthesizer:
    """Speaks segments.

    On a CPU one by one: side by side they would take as long, and a segment sounds the same, to the
    bit, whichever other segment there are.
    """

    def __init__(
        self,
        stages: MaskGCTStages,
        settings: MaskGCTSettings,
        sampling: Sampling,
        timer: StageTimer,
    ) -> None:
        self._stages, self._settings, self._timer = stages, settings, timer
        self._semantic = replace(
            settings.semantic, temperature=sampling.temperature, top_k=sampling.top_k
        )

    def synthesize(self, requests: Sequence[SegmentRequest]) -> Iterator[SegmentAudio]:
        """The whole audio of each segment, in order."""
        at_once = 1 if self._stages.t2s.device.type == "cpu" else len(requests)
        for start in range(0, len(requests), at_once):
            yield from self._speak(requests[start : start + at_once])

    def synthesize_batch(self, requests: Sequence[SegmentRequest]) -> list[SegmentAudio]:
        """The whole audio of each segment."""
        return list(self.synthesize(requests))

    @torch.inference_mode()
    def _speak(self, requests: Sequence[SegmentRequest]) -> list[SegmentAudio]:
        with self._timer.stage("semantic"):
            units = self._units(requests)
        with self._timer.stage("acoustic"):
            codes = self._codes(requests, units)
        with self._timer.stage("decode"):
            return [self._segment_audio(*row) for row in zip(requests, codes, strict=True)]

    def _units(self, requests: Sequence[SegmentRequest]) -> list[Int[Tensor, " t"]]:
        rows = [
            MaskedRow(
                condition=torch.cat([request.voice.text_ids, torch.tensor(request.text.text_ids)]),
                prompt=_prompt_units(request)[None],
                target=torch.zeros(1, self._num_frames(request), dtype=torch.long),
            )
            for request in requests
        ]
        filled = fill_masked(
            self._stages.t2s,
            rows,
            self._semantic,
            generators=[generator(request.seed, "semantic") for request in requests],
        )
        return [row[0] for row in filled]

    def _codes(
        self, requests: Sequence[SegmentRequest], units: Sequence[Int[Tensor, " t"]]
    ) -> list[Int[Tensor, "k t"]]:
        """Codebook 0 by the first model, the codebooks above by the other."""
        draws = [generator(request.seed, "acoustic") for request in requests]
        codes = [row.new_zeros(0, len(row)) for row in units]
        for model in (self._stages.first, self._stages.rest):
            given, count = len(codes[0]), model.num_codebooks
            rows = [
                MaskedRow(
                    condition=torch.cat([_prompt_units(request), row]),
                    prompt=request.voice.codes[:count],
                    target=torch.cat([done, done.new_zeros(count - given, len(row))]),
                )
                for request, row, done in zip(requests, units, codes, strict=True)
            ]
            settings = self._settings
            steps = tuple(
                _nth(settings.acoustic_steps, codebook) for codebook in range(given, count)
            )
            how = replace(settings.acoustic, steps=steps)
            codes = fill_masked(model, rows, how, generators=draws)
        return codes

    def _segment_audio(self, request: SegmentRequest, codes: Int[Tensor, "k t"]) -> SegmentAudio:
        codec = self._stages.codec
        waveform = codec.decode(codes[None].to(codec.device))[0].float().cpu()
        waveform = checked_samples(waveform, repr(request.text.text))
        result = SegmentResult(request=request, codes=codes, stop_reason="end")
        return SegmentAudio(request=request, waveform=waveform, result=result)

    def _num_frames(self, request: SegmentRequest) -> int:
        prompt_frames = request.voice.seconds * self._stages.codec.frame_rate
        return self._settings.duration.num_frames(
            len(request.text.text_ids), len(request.voice.text_ids), prompt_frames
        )


def _prompt_units(request: SegmentRequest) -> Int[Tensor, " p"]:
    return request.voice.extras[UNITS].long()


def _nth(numbers: tuple[int, ...], place: int) -> int:
    """The number at a place, or the last one."""
    return numbers[min(place, len(numbers) - 1)]
