"""Pieces of text to samples: stage 1, stage 2 and the decoder, hand in hand."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.generate.autoregressive import StopRule, UnitRow, speak_units
from uslm.generate.sampling import Sampling
from uslm.models.base import AcousticRow, PitchedModel
from uslm.output.samples import checked_samples
from uslm.output.streaming_decoder import StreamingDecoder
from uslm.synthesis.protocols import Job, Sound, Take
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import Clock
from uslm.systems.two_stage.blocks import CodeBlocks
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.voice_row import median_pitch


class Reader:
    """Speaks jobs with one model of ours."""

    pauses: ClassVar[bool] = False
    """Whether `read` gives an empty sound after a step of stage 1 that brought none."""

    def __init__(self, bundle: Bundle, sampling: Sampling, clock: Clock) -> None:
        self._bundle, self._sampling, self._clock = bundle, sampling, clock

    def read(self, jobs: Sequence[Job]) -> Iterator[Sound]:
        """Sounds of the jobs in order, each as early as it can be had.

        Stage 1 speaks the jobs side by side; what later ones say waits until it is their turn.
        """
        readings = self._readings(jobs)
        current = 0
        nothing = torch.zeros(1, 0)
        for rows in self._clock.each("semantic", self._speak_units(jobs)):
            while current < len(jobs):
                reading, row = readings[current], rows[current]
                before = reading.blocks.num_frames
                while self._fill([reading], [row]):
                    pass
                is_over = row.stop_reason is not None  # it may go on while we yield
                if is_over or reading.blocks.num_frames > before:
                    yield self._sound(reading, row)
                elif self.pauses:
                    yield Sound(job=reading.job, waveform=nothing)
                if not is_over:
                    break
                current += 1

    def read_batch(self, jobs: Sequence[Job]) -> list[Sound]:
        """The whole sound of each job; stage 2, too, works on them side by side."""
        readings = self._readings(jobs)
        rows: list[UnitRow] = []
        for rows in self._clock.each("semantic", self._speak_units(jobs)):
            going = [i for i, row in enumerate(rows) if not row.stop_reason]
            self._fill([readings[i] for i in going], [rows[i] for i in going])
        while self._fill(readings, rows):
            pass
        return [self._sound(reading, row) for reading, row in zip(readings, rows, strict=True)]

    def _speak_units(self, jobs: Sequence[Job]) -> Iterator[list[UnitRow]]:
        prompts = [self._prompt(job) for job in jobs]
        heard = [self._prompt_pitches(job) for job in jobs]
        known = [row for row in heard if row is not None]
        # The mode ends with each step, and nothing but lists of numbers comes out of it.
        speak = torch.inference_mode()(speak_units)
        return speak(
            self._bundle.semantic,
            [text for text, _ in prompts],
            [units for _, units in prompts],
            [self._stop_rule(len(job.text.text_ids)) for job in jobs],
            sampling=self._sampling,
            generators=[generator(job.seed, "semantic") for job in jobs],
            prompt_pitches=known if len(known) == len(jobs) else None,
        )

    def _prompt(self, job: Job) -> tuple[Int[Tensor, " s"], Int[Tensor, " p"]]:
        """What stage 1 reads, and the units it goes on from."""
        text = torch.tensor(job.text.text_ids)
        if not self._bundle.config.use_prompt_units or not len(job.voice.text_ids):
            return text, torch.zeros(0, dtype=torch.long)
        separator = torch.tensor([self._bundle.semantic.separator_id])
        return torch.cat([job.voice.text_ids, separator, text]), job.voice.units

    def _prompt_pitches(self, job: Job) -> Int[Tensor, " p"] | None:
        """The pitches of the units that stage 1 goes on from, where it draws pitches."""
        model, level = self._bundle.semantic, self._bundle.pitch_level
        if not isinstance(model, PitchedModel) or level is None:
            return None
        return model.relative_pitch(job.voice.codes[level])[: len(self._prompt(job)[1])]

    def _readings(self, jobs: Sequence[Job]) -> list["_Reading"]:
        return [_Reading(self._bundle, job, len(self._prompt(job)[0])) for job in jobs]

    def _stop_rule(self, num_symbols: int) -> StopRule:
        length = self._bundle.config.length
        return StopRule(
            min_frames=length.least_frames(num_symbols), max_frames=length.most_frames(num_symbols)
        )

    def _fill(self, readings: Sequence["_Reading"], rows: Sequence[UnitRow]) -> bool:
        """Let stage 2 fill the next block of each reading that has one; whether any had."""
        planned = [
            (reading, plan)
            for reading, row in zip(readings, rows, strict=True)
            if (plan := reading.plan(row)) is not None
        ]
        if not planned:
            return False
        with self._clock.stage("acoustic"):
            filled = self._bundle.fill(
                [plan for _, plan in planned], [reading.generator for reading, _ in planned]
            )
        for (reading, _), codes in zip(planned, filled, strict=True):
            reading.blocks.accept(codes)
        return True

    def _sound(self, reading: "_Reading", row: UnitRow) -> Sound:
        """The samples that have become certain since the last call."""
        job, codes = reading.job, reading.blocks.codes
        is_final = row.stop_reason is not None
        with self._clock.stage("decode"):
            waveform = reading.decoder.push(codes[:, reading.decoder.num_frames :], is_final)
        waveform = checked_samples(waveform, repr(job.text.text))
        take = Take(job=job, codes=codes, stop_reason=row.stop_reason) if row.stop_reason else None
        return Sound(job=job, waveform=waveform, take=take)


class _Reading:
    """A job on its way."""

    def __init__(self, bundle: Bundle, job: Job, num_symbols: int) -> None:
        self.job = job
        self._num_symbols = num_symbols  # that stage 1 reads; the job's text is the last of it
        self._text_positions: list[int] = []  # which of the job's own symbols each unit is of
        self.generator = generator(job.seed, "acoustic")
        self.decoder = StreamingDecoder(bundle.tokenizer)
        self._bundle = bundle
        self._median = 0
        if bundle.pitch_level is not None:
            self._median = median_pitch(job.voice.codes[bundle.pitch_level])
        self.blocks = CodeBlocks(
            bundle.config.blocks,
            bundle.voice_row(job.voice),
            torch.tensor(job.text.text_ids),
            hurry=job.hurry,
            lag=bundle.tokenizer.decoder_context_frames or 0,
        )

    def plan(self, row: UnitRow) -> AcousticRow | None:
        """The next block of what stage 1 has said so far."""
        num_own = len(self.job.text.text_ids)
        before = self._num_symbols - num_own
        del self._text_positions[len(row.text_positions) :]  # a loop that was taken back
        # Behind the text stands stage 1's EOS token, which stage 2 does not know.
        new = row.text_positions[len(self._text_positions) :]
        self._text_positions += [
            min(max(text_position - before, 0), num_own - 1) for text_position in new
        ]
        pitches = self._pitches(row.pitches)
        return self.blocks.plan(
            row.units, row.stop_reason is not None, self._text_positions, pitches
        )

    def _pitches(self, relative: Sequence[int]) -> list[int]:
        """What was drawn, as the codec's pitches in the job's voice."""
        model, most = self._bundle.semantic, self._bundle.tokenizer.num_pitches - 1
        if not isinstance(model, PitchedModel) or self._bundle.pitch_level is None:
            return []
        return [min(model.absolute_pitch(each, self._median), most) for each in relative]
