"""Vevo's models at work, one function a step: units of speech, frames of units, samples of frames.

waveform -> HuBERT -> content-style units        50 per second, they keep the manner of speaking
                   -> content units              repeats dropped: neither voice nor pace is left
units + a voice's frames -> flow matching -> mel frames -> vocoder -> waveform at 24 kHz
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from uslm.output.samples import checked_samples
from uslm.systems.model_parts import Parts, check_equal
from uslm.systems.vevo.flow import FlowRow, FlowSteps, flow_frames
from uslm.systems.vevo.flow_matching import FlowMatching
from uslm.systems.vevo.lm import VevoLM
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.codecs.ssl_units.model import SSLUnits
from uslm_tokenizer.codecs.vevo_content.model import VevoContentTokenizer
from uslm_tokenizer.codecs.vevo_vocoder.model import VevoVocoder
from uslm_tokenizer.ssl.encoder import WINDOW
from uslm_tokenizer.ssl.front_ends import HOP_LENGTH
from uslm_tokenizer.windows import windows

ALL = ("style", "content", "phone_lm", "content_lm", "flow", "vocoder")
GENERATORS = ("phone_lm", "content_lm", "flow")
WINDOW_SECONDS = 20.0
"""Longer recordings are encoded in windows of this length, ..."""
MARGIN_SECONDS = 2.0
"""... each with so much of its neighbours."""
BLOCK_FRAMES = 750
"""Frames that the flow makes at once, ..."""
TAIL_FRAMES = 50
"""... going on from so many of those before."""
VOCODER_FRAMES = 500
"""Frames that become samples at once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Units:
    """Units of a recording."""

    style: Int[Tensor, " t"]
    """Content-style units, one a frame."""
    content: Int[Tensor, " t"] | None
    """Content units of the same frames, where the system has them."""


class VevoParts:
    """The models together. What depends on chance takes a generator."""

    def __init__(self, parts: Parts) -> None:
        """Raises ConfigError unless the parts speak the same units."""
        self.parts = parts
        self.style = parts.get("style", SSLUnits)
        self.flow = parts.get("flow", FlowMatching)
        self.vocoder = parts.get("vocoder", VevoVocoder)
        check_equal("flow", self.flow.config.codebook_size, self.style.codebook_size, "units")
        bands = self.vocoder.config.vocos.in_dim
        check_equal("flow", self.flow.config.frame_dim, bands, "mel bands")

    @property
    def phone_lm(self) -> VevoLM:
        """Speaks phonemes."""
        return self._lm("phone_lm")

    @property
    def content_lm(self) -> VevoLM:
        """Speaks content units."""
        return self._lm("content_lm")

    @property
    def content(self) -> VevoContentTokenizer:
        """The content tokenizer."""
        return self.parts.get("content", VevoContentTokenizer)

    @torch.no_grad()
    def units(self, recording: Audio) -> Units:
        """Of a recording of any length, window by window."""
        waveform = recording.resampled(self.style.sample_rate).waveform
        waveform = F.pad(waveform, (0, max(0, WINDOW - waveform.shape[-1])))
        step = int(WINDOW_SECONDS * self.style.frame_rate)
        margin = int(MARGIN_SECONDS * self.style.frame_rate)
        num_frames = (waveform.shape[-1] - WINDOW) // HOP_LENGTH + 1
        segments = []
        for read, keep in windows(num_frames, step, margin):
            samples = slice(read.start * HOP_LENGTH, read.stop * HOP_LENGTH)
            segments.append(self._window(waveform[:, samples], keep))
        contents = [content for _, content in segments if content is not None]
        return Units(
            style=torch.cat([style for style, _ in segments]),
            content=torch.cat(contents) if contents else None,
        )

    def mel(self, recording: Audio) -> Float[Tensor, "t c"]:
        """The frames of a recording."""
        waveform = recording.resampled(self.vocoder.config.sample_rate).waveform
        return self.vocoder.mel(waveform[None].to(self.vocoder.device))[0].cpu()

    @torch.no_grad()
    def frames(
        self,
        units: Int[Tensor, " t"],
        prompt_units: Int[Tensor, " p"],
        prompt: Float[Tensor, "p c"],
        how: FlowSteps,
        generator: torch.Generator,
    ) -> Float[Tensor, "t c"]:
        """Mel frames that say the units in the voice of the prompt; long ones in blocks."""
        made = prompt.new_zeros(0, prompt.shape[1])
        while len(made) < len(units):
            start, tail = len(made), min(len(made), TAIL_FRAMES)
            block = units[start - tail : start + BLOCK_FRAMES]
            row = FlowRow(
                content=torch.cat([prompt_units, block]),
                prompt=torch.cat([prompt, made[start - tail :]]),
            )
            [new] = flow_frames(self.flow, [row], how, generators=[generator])
            made = torch.cat([made, new.float().cpu()])
        return made

    @torch.no_grad()
    def waveform(self, frames: Float[Tensor, "t c"]) -> Float[Tensor, "1 n"]:
        """Samples of the frames, in [-1, 1]; long ones window by window, with the same result."""
        hop, context, segments = self.vocoder.hop_length, self.vocoder.context_frames, []
        for start in range(0, len(frames), VOCODER_FRAMES):
            first = max(0, start - context)
            end = min(len(frames), start + VOCODER_FRAMES)
            window = frames[first : end + context].to(self.vocoder.device)
            samples = self.vocoder.decode(window[None])[0].cpu()
            segments.append(samples[:, (start - first) * hop : (end - first) * hop])
        return checked_samples(torch.cat(segments, dim=1), "the frames")

    def _window(
        self, waveform: Float[Tensor, "1 n"], keep: slice
    ) -> tuple[Int[Tensor, " t"], Int[Tensor, " t"] | None]:
        encoder = self.style.encoder
        outputs, _ = encoder.layer_outputs(waveform[None].to(self.style.device))
        style = self.style.codec.encode(encoder.standardised(outputs))[0, 0, keep].cpu()
        if "content" not in self.parts:
            return style, None
        # This tokenizer was trained on what the layer gives, not standardised.
        return style, self.content.encode(outputs[0])[0, 0, keep].cpu()

    def _lm(self, name: str) -> VevoLM:
        model = self.parts.get(name, VevoLM)
        check_equal(name, model.codebook_size, self.style.codebook_size, "units")
        return model
