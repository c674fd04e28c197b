"""Segments of text to samples, by VoxCPM: patch after patch, redrawn where it had to be cut."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from uslm.generate.sampling import Sampling
from uslm.output.samples import checked_samples
from uslm.synthesis.protocols import SegmentAudio, SegmentRequest, SegmentResult
from uslm.synthesis.seeds import derive_seed, generator
from uslm.synthesis.timer import StageTimer
from uslm.systems.voxcpm.generation import Limits, Spoken, speak
from uslm.systems.voxcpm.model import VoxCPM
from uslm.systems.voxcpm.settings import VoxCPMSettings
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
        """The whole audio of each segment, in order."""
        yield from map(self._segment_audio, requests)

    def synthesize_batch(self, requests: Sequence[SegmentRequest]) -> list[SegmentAudio]:
        """The whole audio of each segment."""
        return list(self.synthesize(requests))

    @torch.inference_mode()
    def _segment_audio(self, request: SegmentRequest) -> SegmentAudio:
        voice = request.voice
        assert voice.latents is not None, "check_voice comes before"
        prompt = to_patches(voice.latents, self._model.config.patch_size)
        with self._timer.stage("acoustic"):
            spoken, attempts = self._speak(request, prompt)
        with self._timer.stage("decode"):
            waveform = decode(self._codec, spoken.patches, prompt, self._settings)
        waveform = checked_samples(waveform, repr(request.text.text))
        latents = spoken.patches.flatten(0, 1).T
        result = SegmentResult(
            request=request,
            codes=self._codec.round_latents(latents[None])[0],
            latents=latents,
            stop_reason=spoken.stop_reason,
            attempts=attempts,
        )
        return SegmentAudio(request=request, waveform=waveform, result=result)

    def _speak(self, request: SegmentRequest, prompt: Float[Tensor, "n p c"]) -> tuple[Spoken, int]:
        """Patches of the first draw that ends by itself; else of the first of all."""
        symbols = len(request.text.text_ids)
        text = torch.cat([request.voice.text_ids, torch.tensor(request.text.text_ids)])
        settings = self._settings
        limits = Limits(
            min_patches=max(settings.min_patches, settings.length.min_frames(symbols)),
            max_patches=settings.length.max_frames(symbols),
        )
        first: Spoken | None = None
        attempts = settings.redraws + 1
        for attempt in range(attempts):
            seed = request.seed if attempt == 0 else derive_seed(request.seed, "redraw", attempt)
            spoken = speak(
                self._model, text, prompt, self._how, limits, generator(seed, "acoustic")
            )
            if spoken.stop_reason == "end":
                return spoken, attempt + 1
            first = first or spoken
        assert first is not None
        return first, attempts


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
