"""Segments of text to samples, by MeLoDy: units side by side, then each segment's latents."""

from collections.abc import Iterator, Sequence

import torch

from uslm.generate.autoregressive import StopRule, UnitRow, in_order, speak_units
from uslm.generate.latents import fill_latents
from uslm.generate.sampling import Sampling
from uslm.models.latent import LatentRow
from uslm.output.samples import checked_samples
from uslm.synthesis.protocols import SegmentAudio, SegmentRequest, SegmentResult
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import StageTimer
from uslm.systems.melody.model import DualPath, MelodyLM
from uslm.systems.melody.settings import LATENTS, MelodySettings
from uslm_tokenizer.codecs.vae.model import VAECodec


class MelodySegmentSynthesizer:
    """Speaks segments. Latents are made row by row: so none depends on those beside it."""

    def __init__(
        self,
        lm: MelodyLM,
        diffusion: DualPath,
        codec: VAECodec,
        settings: MelodySettings,
        sampling: Sampling,
        timer: StageTimer,
    ) -> None:
        self._lm, self._diffusion, self._codec = lm, diffusion, codec
        self._settings, self._sampling, self._timer = settings, sampling, timer

    def synthesize(self, requests: Sequence[SegmentRequest]) -> Iterator[SegmentAudio]:
        """The whole audio of each segment in order, each as early as it can be had."""
        rows = in_order(self._timer.each("semantic", self._speak(requests)))
        for request, row in zip(requests, rows, strict=True):
            yield self._segment_audio(request, row)

    def synthesize_batch(self, requests: Sequence[SegmentRequest]) -> list[SegmentAudio]:
        """The whole audio of each segment."""
        return list(self.synthesize(requests))

    def _speak(self, requests: Sequence[SegmentRequest]) -> Iterator[list[UnitRow]]:
        length = self._settings.length
        counts = [len(request.text.text_ids) for request in requests]
        return torch.inference_mode()(speak_units)(
            self._lm,
            [torch.cat([r.voice.text_ids, torch.tensor(r.text.text_ids)]) for r in requests],
            [request.voice.units for request in requests],
            [
                StopRule(min_frames=max(1, length.min_frames(n)), max_frames=length.max_frames(n))
                for n in counts
            ],
            sampling=self._sampling,
            generators=[generator(request.seed, "semantic") for request in requests],
        )

    @torch.no_grad()
    def _segment_audio(self, request: SegmentRequest, row: UnitRow) -> SegmentAudio:
        prompt, units = request.voice.extras[LATENTS], row.tensor()
        whole = LatentRow(units=torch.cat([request.voice.codes[0], units]), latents=prompt)
        with self._timer.stage("acoustic"):
            [latents] = fill_latents(
                self._diffusion, [whole], self._settings.diffusion,
                generators=[generator(request.seed, "acoustic")],
            )  # fmt: skip
        with self._timer.stage("decode"):
            first = max(0, len(prompt) - self._settings.context_frames)
            shown = latents[first:].T[None].to(self._codec.device)
            waveform = self._codec.decode_latents(shown)[0].float().cpu()
            waveform = waveform[:, (len(prompt) - first) * self._codec.hop_length :]
        waveform = checked_samples(waveform, repr(request.text.text))
        assert row.stop_reason is not None
        made = latents[len(prompt) :].T
        result = SegmentResult(
            request=request, codes=units[None], latents=made, stop_reason=row.stop_reason
        )
        return SegmentAudio(request=request, waveform=waveform, result=result)
