"""Pieces of text to samples, by USLM: units side by side, then each whole piece in its turn."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.generate.autoregressive import StopRule, UnitRow, in_order, speak_units
from uslm.generate.length import LengthConfig
from uslm.generate.levels import fill_levels
from uslm.generate.sampling import Sampling
from uslm.output.samples import checked_samples
from uslm.synthesis.protocols import Job, Sound, Take
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import Clock
from uslm.systems.valle.generation import published_row
from uslm.systems.valle.model import Valle
from uslm.systems.valle.text import WORD
from uslm.text.vocab import TextVocab
from uslm_tokenizer.base import AudioTokenizer


class UslmReader:
    """Speaks jobs."""

    def __init__(
        self,
        tokenizer: AudioTokenizer,
        model: Valle,
        vocab: TextVocab,
        length: LengthConfig,
        sampling: Sampling,
        clock: Clock,
    ) -> None:
        self._tokenizer, self._model, self._vocab = tokenizer, model, vocab
        self._length, self._sampling, self._clock = length, sampling, clock

    def read(self, jobs: Sequence[Job]) -> Iterator[Sound]:
        """The whole sound of each job in order, each as early as it can be had."""
        rows = in_order(self._clock.each("semantic", self._speak(jobs)))
        for job, row in zip(jobs, rows, strict=True):
            yield self._sound(job, row)

    def read_batch(self, jobs: Sequence[Job]) -> list[Sound]:
        """The whole sound of each job."""
        return list(self.read(jobs))

    def _speak(self, jobs: Sequence[Job]) -> Iterator[list[UnitRow]]:
        speak = torch.inference_mode()(speak_units)  # as in Reader
        return speak(
            self._model.ar,
            [self._text(job) for job in jobs],
            [job.voice.codes[0] for job in jobs],
            [self._stop_rule(job) for job in jobs],
            sampling=self._sampling,
            generators=[generator(job.seed, "semantic") for job in jobs],
        )

    def _text(self, job: Job) -> Int[Tensor, " s"]:
        """Prompt and text, read as one; where the prompt ends in a punctuation mark, they are what
        the published code gets of both as one string."""
        prompt = job.voice.text_ids.tolist()
        between = self._vocab.encode(WORD)[1:-1] if len(prompt) > 2 else []
        return torch.tensor([*prompt[:-1], *between, *job.text.text_ids[1:]])

    def _stop_rule(self, job: Job) -> StopRule:
        num_symbols, length = len(job.text.text_ids), self._length
        return StopRule(
            min_frames=max(1, length.least_frames(num_symbols)),
            max_frames=length.most_frames(num_symbols),
            end_if_likeliest=True,
        )

    @torch.no_grad()
    def _sound(self, job: Job, row: UnitRow) -> Sound:
        with self._clock.stage("acoustic"):
            filled = published_row(
                self._model.config,
                self._text(job),
                len(job.voice.text_ids),
                job.voice.codes,
                row.tensor(),
            )
            [codes] = fill_levels(self._model.nar, [filled])
        with self._clock.stage("decode"):
            device = self._tokenizer.device
            waveform = self._tokenizer.decode(codes[None].to(device))[0].float().cpu()
        waveform = checked_samples(waveform, repr(job.text.text))
        assert row.stop_reason is not None
        take = Take(job=job, codes=codes.cpu(), stop_reason=row.stop_reason)
        return Sound(job=job, waveform=waveform, take=take)
