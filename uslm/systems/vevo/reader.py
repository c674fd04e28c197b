"""Pieces of text to samples, by Vevo: units side by side, then frames piece by piece."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.generate.autoregressive import StopRule, UnitRow, in_order, speak_units
from uslm.generate.sampling import Sampling
from uslm.synthesis.protocols import Job, Sound, Take
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import Clock
from uslm.systems.vevo.settings import MEL, VevoSettings
from uslm.systems.vevo.steps import VevoParts


class VevoReader:
    """Speaks jobs. Frames are made row by row: so none depends on those beside it."""

    def __init__(
        self, parts: VevoParts, settings: VevoSettings, sampling: Sampling, clock: Clock
    ) -> None:
        self._parts, self._settings = parts, settings
        self._sampling, self._clock = sampling, clock

    def read(self, jobs: Sequence[Job]) -> Iterator[Sound]:
        """The whole sound of each job in order, each as early as it can be had."""
        rows = in_order(self._clock.each("semantic", self._speak(jobs)))
        for job, row in zip(jobs, rows, strict=True):
            yield self._sound(job, row)

    def read_batch(self, jobs: Sequence[Job]) -> list[Sound]:
        """The whole sound of each job."""
        return list(self.read(jobs))

    def _speak(self, jobs: Sequence[Job]) -> Iterator[list[UnitRow]]:
        speak = torch.inference_mode()(speak_units)
        texts = [self._text(job) for job in jobs]
        return speak(
            self._parts.phone_lm,
            texts,
            [job.voice.units if len(job.voice.text_ids) else job.voice.units[:0] for job in jobs],
            [self._stop_rule(len(job.text.text_ids)) for job in jobs],
            sampling=self._sampling,
            generators=[generator(job.seed, "semantic") for job in jobs],
        )

    def _text(self, job: Job) -> Int[Tensor, " s"]:
        """What is said in the prompt, then what is to be said, without a mark between."""
        return torch.cat([job.voice.text_ids, torch.tensor(job.text.text_ids)])

    def _stop_rule(self, num_symbols: int) -> StopRule:
        length = self._settings.length
        return StopRule(
            min_frames=max(1, length.least_frames(num_symbols)),
            max_frames=length.most_frames(num_symbols),
        )

    def _sound(self, job: Job, row: UnitRow) -> Sound:
        parts, voice = self._parts, job.voice
        units = row.tensor()
        with self._clock.stage("acoustic"):
            frames = parts.frames(
                units,
                voice.codes[0],
                voice.extras[MEL],
                self._settings.flow,
                generator(job.seed, "acoustic"),
            )
        with self._clock.stage("decode"):
            waveform = parts.waveform(frames)
        assert row.stop_reason is not None
        take = Take(job=job, codes=units[None], stop_reason=row.stop_reason)
        return Sound(job=job, waveform=waveform, take=take)
