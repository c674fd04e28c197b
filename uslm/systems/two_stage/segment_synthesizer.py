"""Segments of text to samples: stage 1, stage 2 and the decoder, interleaved."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.generate.autoregressive import (
    SpeakUnits,
    StopRule,
    UnitRequest,
    UnitRow,
    speak_units,
)
from uslm.generate.sampling import Sampling
from uslm.models.base import AcousticRow, PitchedModel
from uslm.output.samples import checked_samples
from uslm.output.streaming_decoder import StreamingDecoder
from uslm.synthesis.protocols import SegmentAudio, SegmentRequest, SegmentResult
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import StageTimer
from uslm.systems.two_stage.blocks import CodeBlocks
from uslm.systems.two_stage.parts import BundleParts
from uslm.systems.two_stage.voice_row import median_pitch


class BundleSegmentSynthesizer:
    """Speaks segments with one model of ours."""

    def __init__(
        self,
        bundle: BundleParts,
        sampling: Sampling,
        timer: StageTimer,
        speak: SpeakUnits | None = None,
    ) -> None:
        """With `speak`, which draws the units for others, too, there is an empty sound after each
        step that brought none: the others may have got something."""
        self._bundle, self._sampling, self._timer = bundle, sampling, timer
        self._speak = speak

    def synthesize(self, requests: Sequence[SegmentRequest]) -> Iterator[SegmentAudio]:
        """Audio of the segments in order, each as early as it can be had.

        Stage 1 speaks the segment side by side; what later ones say waits until it is their turn.
        """
        in_progress = self._in_progress(requests)
        current = 0
        nothing = torch.zeros(1, 0)
        for rows in self._timer.each("semantic", self._speak_units(requests)):
            while current < len(requests):
                segment, row = in_progress[current], rows[current]
                before = segment.blocks.num_frames
                while self._fill([segment], [row]):
                    pass
                is_over = row.stop_reason is not None  # it may go on while we yield
                if is_over or segment.blocks.num_frames > before:
                    yield self._segment_audio(segment, row)
                elif self._speak is not None:
                    yield SegmentAudio(request=segment.request, waveform=nothing)
                if not is_over:
                    break
                current += 1

    def synthesize_batch(self, requests: Sequence[SegmentRequest]) -> list[SegmentAudio]:
        """The whole audio of each segment; stage 2, too, works on them side by side."""
        in_progress = self._in_progress(requests)
        rows: list[UnitRow] = []
        for rows in self._timer.each("semantic", self._speak_units(requests)):
            going = [i for i, row in enumerate(rows) if not row.stop_reason]
            self._fill([in_progress[i] for i in going], [rows[i] for i in going])
        while self._fill(in_progress, rows):
            pass
        return [
            self._segment_audio(segment, row)
            for segment, row in zip(in_progress, rows, strict=True)
        ]

    def _speak_units(self, requests: Sequence[SegmentRequest]) -> Iterator[list[UnitRow]]:
        asked = [self._unit_request(request) for request in requests]
        if self._speak is not None:
            return self._speak(asked)
        known = [row.prompt_pitches for row in asked if row.prompt_pitches is not None]
        # The mode ends with each step, and nothing but lists of numbers comes out of it.
        speak = torch.inference_mode()(speak_units)
        return speak(
            self._bundle.semantic,
            [row.text_ids for row in asked],
            [row.prompt_units for row in asked],
            [row.stop for row in asked],
            sampling=self._sampling,
            generators=[row.generator for row in asked],
            prompt_pitches=known if len(known) == len(requests) else None,
            tracks=[row.track for row in asked] if any(row.track for row in asked) else None,
        )

    def _unit_request(self, request: SegmentRequest) -> UnitRequest:
        text_ids, prompt_units = self._prompt(request)
        return UnitRequest(
            text_ids=text_ids,
            prompt_units=prompt_units,
            prompt_pitches=self._prompt_pitches(request),
            stop=self._stop_rule(len(request.text.text_ids), request.track),
            sampling=self._sampling,
            generator=generator(request.seed, "semantic"),
            track=request.track,
        )

    def _prompt(self, request: SegmentRequest) -> tuple[Int[Tensor, " s"], Int[Tensor, " p"]]:
        """Symbols that stage 1 reads, and the units it goes on from."""
        text = torch.tensor(request.text.text_ids)
        if not self._bundle.config.use_prompt_units or not len(request.voice.text_ids):
            return text, torch.zeros(0, dtype=torch.long)
        separator = torch.tensor([self._bundle.semantic.separator_id])
        units = request.voice.units[:: self._bundle.semantic.frames_per_unit]
        return torch.cat([request.voice.text_ids, separator, text]), units

    def _prompt_pitches(self, request: SegmentRequest) -> Int[Tensor, " p"] | None:
        """The pitches of the units that stage 1 goes on from, where it draws pitches."""
        model, codebook = self._bundle.semantic, self._bundle.pitch_codebook
        if not isinstance(model, PitchedModel) or codebook is None:
            return None
        return model.relative_pitch(request.voice.codes[codebook])[: len(self._prompt(request)[1])]

    def _in_progress(self, requests: Sequence[SegmentRequest]) -> list["_SegmentInProgress"]:
        return [
            _SegmentInProgress(self._bundle, request, len(self._prompt(request)[0]))
            for request in requests
        ]

    def _stop_rule(self, num_symbols: int, track: Sequence[int] | None) -> StopRule:
        if track is not None:  # it alone says when the speech is over
            beyond = len(track) + 1
            return StopRule(min_frames=0, max_frames=beyond, loop_length=beyond)
        length, lasts = self._bundle.config.length, self._bundle.semantic.frames_per_unit
        return StopRule(
            min_frames=-(-length.min_frames(num_symbols) // lasts),
            max_frames=max(1, length.max_frames(num_symbols) // lasts),
        )

    def _fill(self, in_progress: Sequence["_SegmentInProgress"], rows: Sequence[UnitRow]) -> bool:
        """Let stage 2 fill the next block of each reading that has one; whether any had."""
        planned = [
            (segment, plan)
            for segment, row in zip(in_progress, rows, strict=True)
            if (plan := segment.plan(row)) is not None
        ]
        if not planned:
            return False
        with self._timer.stage("acoustic"):
            filled = self._bundle.fill(
                [plan for _, plan in planned], [segment.generator for segment, _ in planned]
            )
        for (segment, _), codes in zip(planned, filled, strict=True):
            segment.blocks.accept(codes)
        return True

    def _segment_audio(self, segment: "_SegmentInProgress", row: UnitRow) -> SegmentAudio:
        """The samples that have become certain since the last call."""
        request, codes = segment.request, segment.blocks.codes
        is_final = row.stop_reason is not None
        with self._timer.stage("decode"):
            waveform = segment.decoder.push(codes[:, segment.decoder.num_frames :], is_final)
        waveform = checked_samples(waveform, repr(request.text.text))
        result = (
            SegmentResult(request=request, codes=codes, stop_reason=row.stop_reason)
            if row.stop_reason
            else None
        )
        return SegmentAudio(request=request, waveform=waveform, result=result)


class _SegmentInProgress:
    """A segment on its way."""

    def __init__(self, bundle: BundleParts, request: SegmentRequest, num_symbols: int) -> None:
        self.request = request
        self._num_symbols = num_symbols  # that stage 1 reads; the segment's text is the last of it
        self._text_positions: list[int] = []  # which of the segment's own symbols each unit is of
        self.generator = generator(request.seed, "acoustic")
        self.decoder = StreamingDecoder(bundle.tokenizer)
        self._bundle = bundle
        self._median = 0
        if bundle.pitch_codebook is not None:
            self._median = median_pitch(request.voice.codes[bundle.pitch_codebook])
        self.blocks = CodeBlocks(
            bundle.config.blocks,
            bundle.voice_row(request.voice),
            torch.tensor(request.text.text_ids),
            low_latency=request.low_latency,
            lag=bundle.tokenizer.decoder_context_frames or 0,
        )

    def plan(self, row: UnitRow) -> AcousticRow | None:
        """The next block of what stage 1 has said so far."""
        num_own = len(self.request.text.text_ids)
        before = self._num_symbols - num_own
        del self._text_positions[len(row.text_positions) :]  # a loop that was taken back
        # Behind the text stands stage 1's EOS token, which stage 2 does not know.
        new = row.text_positions[len(self._text_positions) :]
        self._text_positions += [
            min(max(text_position - before, 0), num_own - 1) for text_position in new
        ]
        lasts = self._bundle.semantic.frames_per_unit
        units, positions, pitches = (
            _held(each, lasts)
            for each in (row.units, self._text_positions, self._pitches(row.pitches))
        )
        return self.blocks.plan(units, row.stop_reason is not None, positions, pitches)

    def _pitches(self, relative: Sequence[int]) -> list[int]:
        """Pitches that were drawn, as the codec's in the segment's voice."""
        model, most = self._bundle.semantic, self._bundle.tokenizer.num_pitches - 1
        if not isinstance(model, PitchedModel) or self._bundle.pitch_codebook is None:
            return []
        return [min(model.absolute_pitch(each, self._median), most) for each in relative]


def _held(values: Sequence[int], times: int) -> Sequence[int]:
    """Each value for so many frames."""
    return values if times == 1 else [value for value in values for _ in range(times)]
