"""From mel frames and F0 to a waveform: a source, and filters that a network predicts.

    F0 ----> pulses of equal harmonics --STFT--> * complex filter --+
                                                                    +--> inverse STFT --> waveform
             white noise ---------------STFT--> * real filter ------+
    mel frames, F0 --> ConvNeXt at 50 Hz --> ConvNeXt at 100 Hz --> both filters

Where F0 is given, the network need not make the fine structure of a voice; it shapes it (the
source-filter model; Wang et al. 2019, arXiv 1904.12088).
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from uslm_tokenizer.nn.convnext import ConvNeXt
from uslm_tokenizer.nn.spectral import InverseSTFT

FINE_FRAMES = 2
"""Spectra in each frame."""
UNKNOWN_F0 = 150.0
"""What the source stands at before anything was voiced, Hz; nothing of it is heard."""
NOISE_PERIOD = 1 << 16
"""Samples after which the noise repeats."""
MAX_LOG_GAIN = 6.0


@dataclass(frozen=True, kw_only=True)
class SourceFilterDecoderConfig:
    """Sizes of a SourceFilterDecoder."""

    dim: int = 256
    """Width of both networks."""
    hidden_dim: int = 768
    """Width inside each ConvNeXt block."""
    num_layers: int = 6
    """ConvNeXt blocks at the frame rate."""
    num_fine_layers: int = 3
    """ConvNeXt blocks at twice the frame rate."""
    n_fft: int = 640
    """Window of the source's STFT and of the inverse STFT, samples."""


class SourceFilterDecoder(nn.Module):
    """Latents and F0 of each frame -> samples.

    The source's phase runs on from the first frame, so a frame depends on the F0 of all frames
    before it. The noise is a fixed sequence by the sample's place, so that it is the same for a
    window of the frames as for all of them.
    """

    window: Tensor
    noise: Tensor

    def __init__(
        self, config: SourceFilterDecoderConfig, latent_dim: int, sample_rate: int, hop_length: int
    ) -> None:
        super().__init__()
        self.config, self.sample_rate, self.hop_length = config, sample_rate, hop_length
        self.fine_hop = hop_length // FINE_FRAMES
        dim, hidden = config.dim, config.hidden_dim
        self.body = ConvNeXt(latent_dim + 2, dim, hidden, config.num_layers)
        self.to_fine = nn.Linear(dim, FINE_FRAMES * dim)
        self.fine_body = ConvNeXt(dim, dim, hidden, config.num_fine_layers)
        self.to_filters = nn.Linear(dim, 3 * (config.n_fft // 2 + 1))
        self.inverse_stft = InverseSTFT(config.n_fft, self.fine_hop)
        nn.init.normal_(self.to_filters.weight, std=1e-3)
        nn.init.zeros_(self.to_filters.bias)
        noise = torch.randn(NOISE_PERIOD, generator=torch.Generator().manual_seed(0))
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)
        self.register_buffer("noise", noise, persistent=False)

    @property
    def context_frames(self) -> int:
        """Frames to each side that the filters of a frame, and its overlap-add, depend on."""
        fine = self.fine_body.context_frames + 2 * -(-self.config.n_fft // (2 * self.fine_hop))
        return self.body.context_frames + -(-fine // FINE_FRAMES)

    def forward(
        self, latents: Float[Tensor, "b t c"], f0: Float[Tensor, "b t"]
    ) -> Float[Tensor, "b 1 n"]:
        """n = t * hop_length. `f0` is in Hz, 0 where unvoiced."""
        return self.window_of(latents, f0, 0, latents.shape[1])

    def window_of(
        self, latents: Float[Tensor, "b t c"], f0: Float[Tensor, "b t"], start: int, stop: int
    ) -> Float[Tensor, "b 1 n"]:
        """The samples of frames `start` to `stop`; the same as in the whole, if there are
        `context_frames` more frames after `stop` or the speech ends there."""
        first = max(0, start - self.context_frames)
        last = min(latents.shape[1], stop + self.context_frames)
        hop = self.hop_length
        source = self.harmonics(f0[:, :last])[:, first * hop :]
        places = torch.arange(first * hop, last * hop, device=latents.device) % NOISE_PERIOD
        noise = self.noise[places].expand(len(latents), -1)
        waveform = self._filtered(latents[:, first:last], f0[:, first:last], source, noise)
        return waveform[:, :, (start - first) * hop : (stop - first) * hop]

    def with_noise(
        self,
        latents: Float[Tensor, "b t c"],
        f0: Float[Tensor, "b t"],
        noise: Float[Tensor, "b n"],
    ) -> Float[Tensor, "b 1 n"]:
        """As `forward`, from another noise: in training no sequence should be learnt by heart."""
        return self._filtered(latents, f0, self.harmonics(f0), noise)

    def _filtered(
        self,
        latents: Float[Tensor, "b t c"],
        f0: Float[Tensor, "b t"],
        source: Float[Tensor, "b n"],
        noise: Float[Tensor, "b n"],
    ) -> Float[Tensor, "b 1 n"]:
        gain, phase, noise_gain = self.filters(latents, f0)
        spectrum = self._stft(source) * torch.polar(gain, phase) + self._stft(noise) * noise_gain
        return cast(Tensor, self.inverse_stft(spectrum))

    def filters(
        self, latents: Float[Tensor, "b t c"], f0: Float[Tensor, "b t"]
    ) -> tuple[Float[Tensor, "b f u"], Float[Tensor, "b f u"], Float[Tensor, "b f u"]]:
        """Gain and phase of the harmonics and gain of the noise in each bin of the spectra;
        u = FINE_FRAMES * t."""
        height = torch.where(f0 > 0, (f0.clamp(min=50) / UNKNOWN_F0).log2(), 0.0)
        seen = torch.cat([latents, height[..., None], (f0 > 0).float()[..., None]], dim=-1)
        hidden = self.to_fine(F.gelu(self.body(seen.to(self.to_fine.weight.dtype))))
        fine = self.fine_body(hidden.unflatten(-1, (FINE_FRAMES, -1)).flatten(1, 2))
        filters = self.to_filters(fine).float().transpose(1, 2)
        gain, phase, noise_gain = filters.chunk(3, dim=1)
        # The factors and offsets put the first guesses near speech, and make learning quick.
        voice = (3 * gain - 2).clamp(max=MAX_LOG_GAIN).exp()
        breath = (3 * noise_gain - 3).clamp(max=MAX_LOG_GAIN).exp()
        return voice, 2 * phase, breath

    def harmonics(self, f0: Float[Tensor, "b t"]) -> Float[Tensor, "b n"]:
        """All harmonics of F0 up to half the sample rate, equally strong; silent where unvoiced."""
        return self.pulses(f0, _held(f0))

    def pulses(self, f0: Float[Tensor, "b t"], held: Float[Tensor, "b t"]) -> Float[Tensor, "b n"]:
        """`harmonics`, with F0 without gaps beside it."""
        frequency = self._by_sample(held)
        voiced = self._by_sample((f0 > 0).float())
        # In double precision: after a minute the phase is some 100,000 radians.
        phase = 2 * math.pi * frequency.double().cumsum(dim=1) / self.sample_rate
        # Around 0, where the pulses are: there single precision keeps the most digits.
        phase = ((phase + math.pi).remainder(2 * math.pi) - math.pi).float()
        count = (self.sample_rate / 2 / frequency).floor()
        # sum of cos(k phase), k = 1 .. count (Dirichlet's kernel); at phase 0 it is count.
        half = (phase / 2).sin()
        at_zero = half.abs() < 1e-4
        ratio = ((count + 0.5) * phase).sin() / (2 * torch.where(at_zero, 1.0, half))
        pulses = torch.where(at_zero, count, ratio - 0.5)
        return pulses * (2 / count).sqrt() * voiced

    def _by_sample(self, values: Float[Tensor, "b t"]) -> Float[Tensor, "b n"]:
        """Values at the middle of each frame, joined by lines."""
        # By a frame's own samples, not by those of the whole: far from the beginning their places
        # would be known to a few digits only, and errors of F0 add up in the phase.
        places = (torch.arange(self.hop_length, device=values.device) + 0.5) / self.hop_length - 0.5
        around = torch.cat([values[:, :1], values, values[:, -1:]], dim=1)[..., None]
        before, here, after = around[:, :-2], around[:, 1:-1], around[:, 2:]
        left, right = places.clamp(max=0), places.clamp(min=0)
        return (here + left * (here - before) + right * (after - here)).flatten(1)

    def _stft(self, signal: Float[Tensor, "b n"]) -> Tensor:
        """Complex, [b, n_fft / 2 + 1, 2 t]; frames lie as those of `InverseSTFT`."""
        n_fft, hop = self.config.n_fft, self.fine_hop
        before = (n_fft - hop) // 2
        padded = F.pad(signal.float(), (before, n_fft - hop - before))
        return torch.stft(
            padded, n_fft, hop, window=self.window.float(), center=False, return_complex=True
        )


def _held(f0: Float[Tensor, "b t"]) -> Float[Tensor, "b t"]:
    """F0 without gaps: unvoiced frames have that of the last voiced one before them.

    Before all voice, the frame just ahead of it has the F0 that comes, others a fixed one: no
    frame waits for more than the next.
    """
    voiced = f0 > 0
    places = torch.arange(f0.shape[1], device=f0.device).expand_as(f0)
    last = torch.where(voiced, places, -1).cummax(dim=1).values
    held = f0.gather(1, last.clamp(min=0))
    coming = F.pad(f0[:, 1:], (0, 1))
    early = torch.where(coming > 0, coming, UNKNOWN_F0)
    return torch.where(last >= 0, held, early)
