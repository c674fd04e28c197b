"""Vevo's vocoder: mel frames to a waveform, and the mel frames that it, and the flow, read."""

import math
from dataclasses import dataclass, field
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.nn.spectral import LogMel
from uslm_tokenizer.nn.vocos import Vocos, VocosConfig


@dataclass(frozen=True, kw_only=True)
class VevoVocoderConfig:
    """Sizes of a VevoVocoder, and the statistics of its frames."""

    vocos: VocosConfig = field(
        default_factory=lambda: VocosConfig(
            in_dim=128, dim=1024, hidden_dim=4096, num_layers=30, n_fft=1920, hop_length=480
        )
    )
    """The network; `in_dim` is the number of mel bands, and the frames have its window and hop."""
    sample_rate: int = 24_000
    """Samples per second of the waveform, Hz."""
    mel_mean: float = -4.92
    """Mean of the log-mel values of speech."""
    mel_variance: float = 8.14
    """Their variance."""


class VevoVocoder(PretrainedModel):
    """Standardised log-mel frames [b, t, c] -> waveform of t * hop_length samples; and back."""

    model_type: ClassVar[str] = "vevo_vocoder"
    config_class: ClassVar[type] = VevoVocoderConfig
    config: VevoVocoderConfig

    def __init__(self, config: VevoVocoderConfig) -> None:
        super().__init__(config)
        vocos = config.vocos
        self.vocos = Vocos(vocos)
        self.log_mel = LogMel(
            config.sample_rate, vocos.n_fft, vocos.hop_length, vocos.in_dim,
            equal_area=True, slaney=True, reflect=True, epsilon=1e-9,
        )  # fmt: skip

    @classmethod
    def tiny_config(cls) -> VevoVocoderConfig:
        """A config that builds in milliseconds, for tests and examples."""
        vocos = VocosConfig(
            in_dim=8, dim=16, hidden_dim=32, num_layers=1, n_fft=1920, hop_length=480
        )
        return VevoVocoderConfig(vocos=vocos)

    @property
    def hop_length(self) -> int:
        """Samples that one frame stands for."""
        return self.config.vocos.hop_length

    @property
    def context_frames(self) -> int:
        """Frames to each side that the samples of a frame depend on."""
        frames = self.vocos.context_frames
        assert frames is not None
        return frames

    def mel(self, waveform: Float[Tensor, "b 1 n"]) -> Float[Tensor, "b t c"]:
        """Standardised log-mel frames of a waveform; t = ceil(n / hop_length)."""
        padded = F.pad(waveform, (0, -waveform.shape[-1] % self.hop_length))
        # The frames reach beyond the ends, into mirror images: a short waveform has too little.
        least = self.config.vocos.n_fft
        padded = F.pad(padded, (0, max(0, least - padded.shape[-1])))
        num_frames = -(-waveform.shape[-1] // self.hop_length)
        frames: Tensor = self.log_mel(padded)[:, :num_frames]
        return (frames - self.config.mel_mean) / math.sqrt(self.config.mel_variance)

    def forward(self, frames: Float[Tensor, "b t c"]) -> Float[Tensor, "b 1 n"]:
        """The waveform of some frames."""
        return cast(Tensor, self.vocos(frames.to(self.dtype).transpose(1, 2)))

    @torch.no_grad()
    def decode(self, frames: Float[Tensor, "b t c"]) -> Float[Tensor, "b 1 n"]:
        """As `forward`, without gradients."""
        return cast(Tensor, self(frames))
