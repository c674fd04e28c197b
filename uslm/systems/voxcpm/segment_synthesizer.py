"""Segments of text to samples, by VoxCPM: patch by patch, or whole ones, which can be redrawn."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.generate.sampling import Sampling
from uslm.output.samples import checked_samples
from uslm.synthesis.items import whole_audios
from uslm.synthesis.protocols import SegmentAudio, SegmentRequest, SegmentResult
from uslm.synthesis.seeds import derive_seed, generator
from uslm.synthesis.timer import StageTimer
from uslm.systems.voxcpm.generation import Limits, Spoken, speak
from uslm.systems.voxcpm.model import VoxCPM
from uslm.systems.voxcpm.settings import VoxCPMSettings
from uslm.systems.voxcpm.streaming import PatchDecoder, settled_patches
from uslm_tokenizer.codecs.vae.model import VAECodec


class VoxCPMSegmentSynthesizer:
    """Speaks segments one by one: so none depends on those beside it."""

    def __init__(
        self,
        model: VoxCPM,
        codec: VAECodec,
        settings: VoxCPMSettings,
        sampling: Sampling,
        timer: StageTimer,
    ) -> None:
        self._model, self._codec, self._settings, self._timer = model, codec, settings, timer
        self._how = replace(settings.patch, temperature=sampling.temperature)

    def synthesize(self, requests: Sequence[SegmentRequest]) -> Iterator[SegmentAudio]:
        """Audio of the segments in order, each patch by patch, or whole if the settings say so."""
        for request in requests:
            if self._settings.whole_segments:
                yield self._whole(request)
            else:
                yield from self._streamed(request)

    def synthesize_batch(self, requests: Sequence[SegmentRequest]) -> list[SegmentAudio]:
        """The whole audio of each segment."""
        audios = whole_audios(self.synthesize(requests))
        return [audio for audio in audios if audio.result is not None]

    @torch.inference_mode()
    def _streamed(self, request: SegmentRequest) -> Iterator[SegmentAudio]:
        """Audio of the patches that are settled, after each one that is made."""
        prompt = self._prompt(request)
        decoder = PatchDecoder(self._codec, prompt, self._settings)
        draws = [generator(seed, "acoustic") for seed in self._seeds(request)]
        steps = settled_patches(
            self._model, self._text(request), prompt, self._how, self._limits(request), draws
        )
        made: list[Tensor] = []
        for settled in self._timer.each("acoustic", steps):
            made.append(settled.new)
            with self._timer.stage("decode"):
                waveform = decoder.push(settled.new, settled.stop_reason is not None)
            result = None
            if settled.stop_reason is not None:
                spoken = Spoken(torch.cat(made), settled.stop_reason)
                result = self._result(request, spoken, settled.attempts)
            yield self._audio(request, waveform, result)

    @torch.inference_mode()
    def _whole(self, request: SegmentRequest) -> SegmentAudio:
        prompt = self._prompt(request)
        with self._timer.stage("acoustic"):
            spoken, attempts = self._speak(request, prompt)
        with self._timer.stage("decode"):
            waveform = decode(self._codec, spoken.patches, prompt, self._settings)
        return self._audio(request, waveform, self._result(request, spoken, attempts))

    def _speak(self, request: SegmentRequest, prompt: Float[Tensor, "n p c"]) -> tuple[Spoken, int]:
        """Patches of the first draw that ends by itself; else of the first of all."""
        first: Spoken | None = None
        for attempt, seed in enumerate(self._seeds(request), 1):
            spoken = speak(
                self._model, self._text(request), prompt, self._how, self._limits(request),
                generator(seed, "acoustic"),
            )  # fmt: skip
            if spoken.stop_reason == "end":
                return spoken, attempt
            first = first or spoken
        assert first is not None
        return first, attempt

    def _prompt(self, request: SegmentRequest) -> Float[Tensor, "n p c"]:
        assert request.voice.latents is not None, "check_voice comes before"
        return to_patches(request.voice.latents, self._model.config.patch_size)

    def _text(self, request: SegmentRequest) -> Int[Tensor, " s"]:
        """Text of the prompt, then the text to be said."""
        return torch.cat([request.voice.text_ids, torch.tensor(request.text.text_ids)])

    def _limits(self, request: SegmentRequest) -> Limits:
        symbols, settings = len(request.text.text_ids), self._settings
        return Limits(
            min_patches=max(settings.min_patches, settings.length.min_frames(symbols)),
            max_patches=settings.length.max_frames(symbols),
        )

    def _seeds(self, request: SegmentRequest) -> list[int]:
        """Seeds of the first draw and of those after it."""
        more = range(1, self._settings.redraws + 1)
        return [request.seed, *(derive_seed(request.seed, "redraw", each) for each in more)]

    def _result(self, request: SegmentRequest, spoken: Spoken, attempts: int) -> SegmentResult:
        latents = spoken.patches.flatten(0, 1).T
        return SegmentResult(
            request=request,
            codes=self._codec.round_latents(latents[None])[0],
            latents=latents,
            stop_reason=spoken.stop_reason,
            attempts=attempts,
        )

    def _audio(
        self, request: SegmentRequest, waveform: Float[Tensor, "1 n"], result: SegmentResult | None
    ) -> SegmentAudio:
        waveform = checked_samples(waveform, repr(request.text.text))
        return SegmentAudio(request=request, waveform=waveform, result=result)


def to_patches(latents: Float[Tensor, "c t"], size: int) -> Float[Tensor, "n p c"]:
    """Whole patches of latents; the recording was filled up at its beginning, see `encode`."""
    count = latents.shape[1] // size
    kept = latents[:, latents.shape[1] - count * size :]
    return kept.T.reshape(count, size, -1)


@torch.no_grad()
def decode(
    codec: VAECodec,
    patches: Float[Tensor, "n p c"],
    prompt: Float[Tensor, "m p c"],
    settings: VoxCPMSettings,
) -> Float[Tensor, "1 samples"]:
    """Samples of the patches alone, as they sound after the end of the prompt; both ends fade."""
    context = prompt[len(prompt) - min(len(prompt), settings.context_patches) :]
    latents = torch.cat([context, patches]).flatten(0, 1).T[None]
    waveform = codec.decode_latents(latents.to(codec.device))[0].float().cpu()
    own = waveform[:, context.shape[0] * context.shape[1] * codec.hop_length :]
    return faded(own, round(settings.fade_seconds * codec.sample_rate))


def faded(waveform: Float[Tensor, "1 n"], samples: int) -> Float[Tensor, "1 n"]:
    """The same, from silence and to silence within so many samples."""
    samples = min(samples, waveform.shape[1] // 2)
    ramp = torch.arange(samples) / max(1, samples)
    waveform = waveform.clone()
    waveform[:, :samples] *= ramp
    waveform[:, waveform.shape[1] - samples :] *= ramp.flip(0)
    return waveform
