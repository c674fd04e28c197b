"""Pieces of text to samples, by MaskGCT: each piece whole, stage after stage."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.generate.masked import fill_masked
from uslm.generate.sampling import Sampling
from uslm.models.masked import MaskedRow
from uslm.output.samples import checked_samples
from uslm.synthesis.protocols import Job, Sound, Take
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import Clock
from uslm.systems.maskgct.stages import UNITS, MaskGCTSettings, MaskGCTStages


class MaskGCTReader:
    """Speaks jobs.

    On a CPU one by one: side by side they would take as long, and a job sounds the same, to the
    bit, whichever other jobs there are.
    """

    def __init__(
        self, stages: MaskGCTStages, settings: MaskGCTSettings, sampling: Sampling, clock: Clock
    ) -> None:
        self._stages, self._settings, self._clock = stages, settings, clock
        self._semantic = replace(
            settings.semantic, temperature=sampling.temperature, top_k=sampling.top_k
        )

    def read(self, jobs: Sequence[Job]) -> Iterator[Sound]:
        """The whole sound of each job, in order."""
        at_once = 1 if self._stages.t2s.device.type == "cpu" else len(jobs)
        for start in range(0, len(jobs), at_once):
            yield from self._speak(jobs[start : start + at_once])

    def read_batch(self, jobs: Sequence[Job]) -> list[Sound]:
        """The whole sound of each job."""
        return list(self.read(jobs))

    @torch.inference_mode()
    def _speak(self, jobs: Sequence[Job]) -> list[Sound]:
        with self._clock.stage("semantic"):
            units = self._units(jobs)
        with self._clock.stage("acoustic"):
            codes = self._codes(jobs, units)
        with self._clock.stage("decode"):
            return [self._sound(*row) for row in zip(jobs, codes, strict=True)]

    def _units(self, jobs: Sequence[Job]) -> list[Int[Tensor, " t"]]:
        rows = [
            MaskedRow(
                condition=torch.cat([job.voice.text_ids, torch.tensor(job.text.text_ids)]),
                prompt=_prompt_units(job)[None],
                target=torch.zeros(1, self._num_frames(job), dtype=torch.long),
            )
            for job in jobs
        ]
        filled = fill_masked(
            self._stages.t2s,
            rows,
            self._semantic,
            generators=[generator(job.seed, "semantic") for job in jobs],
        )
        return [row[0] for row in filled]

    def _codes(
        self, jobs: Sequence[Job], units: Sequence[Int[Tensor, " t"]]
    ) -> list[Int[Tensor, "k t"]]:
        """Level 0 by the first model, the levels above by the other."""
        draws = [generator(job.seed, "acoustic") for job in jobs]
        codes = [row.new_zeros(0, len(row)) for row in units]
        for model in (self._stages.first, self._stages.rest):
            given, count = len(codes[0]), model.num_codebooks
            rows = [
                MaskedRow(
                    condition=torch.cat([_prompt_units(job), row]),
                    prompt=job.voice.codes[:count],
                    target=torch.cat([done, done.new_zeros(count - given, len(row))]),
                )
                for job, row, done in zip(jobs, units, codes, strict=True)
            ]
            settings = self._settings
            steps = tuple(_nth(settings.acoustic_steps, level) for level in range(given, count))
            how = replace(settings.acoustic, steps=steps)
            codes = fill_masked(model, rows, how, generators=draws)
        return codes

    def _sound(self, job: Job, codes: Int[Tensor, "k t"]) -> Sound:
        codec = self._stages.codec
        waveform = codec.decode(codes[None].to(codec.device))[0].float().cpu()
        waveform = checked_samples(waveform, repr(job.text.text))
        take = Take(job=job, codes=codes, stop_reason="end")
        return Sound(job=job, waveform=waveform, take=take)

    def _num_frames(self, job: Job) -> int:
        prompt_frames = job.voice.seconds * self._stages.codec.frame_rate
        return self._settings.duration.num_frames(
            len(job.text.text_ids), len(job.voice.text_ids), prompt_frames
        )


def _prompt_units(job: Job) -> Int[Tensor, " p"]:
    return job.voice.extras[UNITS].long()


def _nth(numbers: tuple[int, ...], place: int) -> int:
    """The number at a place, or the last one."""
    return numbers[min(place, len(numbers) - 1)]
