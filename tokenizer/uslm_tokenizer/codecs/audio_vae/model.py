"""AudioVAE (VoxCPM, arXiv 2509.24650): a causal variational codec of 25 frames per second.

    waveform -> DAC's blocks, depthwise -> mean and variance of 64 latents -> the same back

Only the network is its own; all that a variational codec does stands in `codecs/vae`.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from uslm_tokenizer.base import LatentCodec
from uslm_tokenizer.codecs.audio_vae.network import AudioVAEDecoder, AudioVAEEncoder
from uslm_tokenizer.codecs.vae.model import LOG_VARIANCES, Posterior, VAECodec
from uslm_tokenizer.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class AudioVAEConfig:
    """Sizes of an AudioVAE; the defaults are those of VoxCPM-0.5B."""

    sample_rate: int = 16_000
    """Samples per second of the waveform, Hz."""
    encoder_dim: int = 128
    """Channels of the first convolution; each stride doubles them."""
    encoder_strides: tuple[int, ...] = (2, 5, 8, 8)
    """Samples that become one, of each block of the encoder."""
    latent_dim: int = 64
    """Values of one frame."""
    decoder_dim: int = 1536
    """Channels of the decoder's input; each stride halves them."""
    decoder_strides: tuple[int, ...] = (8, 8, 5, 2)
    """Samples of one, of each block of the decoder."""
    depthwise: bool = True
    """Whether the long convolutions see each channel by itself."""
    steps_per_deviation: int = 16
    """Codes for each standard deviation of a latent."""
    reach: float = 4.0
    """Standard deviations to either side that have codes; what lies beyond is cut there."""

    def __post_init__(self) -> None:
        encoded, decoded = math.prod(self.encoder_strides), math.prod(self.decoder_strides)
        if encoded != decoded:
            raise ConfigError(
                f"decoder_strides must multiply to {encoded}, as encoder_strides do, but multiply "
                f"to {decoded}"
            )
        if self.decoder_dim % 2 ** len(self.decoder_strides):
            raise ConfigError(
                f"decoder_dim must be a multiple of {2 ** len(self.decoder_strides)}, but is "
                f"{self.decoder_dim}"
            )


class AudioVAE(VAECodec):
    """Waveform <-> latents [b, d, t], or codes [b, d, t]."""

    model_type: ClassVar[str] = "audio_vae"
    config_class: ClassVar[type] = AudioVAEConfig
    config: AudioVAEConfig  # type: ignore[assignment]
    encoder: AudioVAEEncoder  # type: ignore[assignment]
    decoder: AudioVAEDecoder  # type: ignore[assignment]

    def __init__(self, config: AudioVAEConfig) -> None:
        LatentCodec.__init__(self, config)
        self.encoder = AudioVAEEncoder(
            config.encoder_dim, config.encoder_strides, config.latent_dim,
            depthwise=config.depthwise,
        )  # fmt: skip
        self.from_latents = nn.Identity()  # type: ignore[assignment]
        self.decoder = AudioVAEDecoder(
            config.latent_dim, config.decoder_dim, config.decoder_strides,
            depthwise=config.depthwise,
        )  # fmt: skip

    @property
    def hop_length(self) -> int:
        return math.prod(self.config.encoder_strides)

    @property
    def causal(self) -> bool:
        return True

    @property
    def gain(self) -> float:
        """The published layout knows none."""
        return 1.0

    def posterior(self, waveform: Float[Tensor, "b 1 n"]) -> Posterior:
        whole = F.pad(waveform, (0, -waveform.shape[-1] % self.hop_length))
        mean, log_variance = self.encoder.posterior(whole.to(self.dtype))
        return Posterior(mean.float(), log_variance.float().clamp(*LOG_VARIANCES))

    @classmethod
    def tiny_config(cls) -> AudioVAEConfig:  # type: ignore[override]
        return AudioVAEConfig(
            encoder_dim=4, encoder_strides=(4, 5, 16), latent_dim=6, decoder_dim=32,
            decoder_strides=(16, 5, 4), steps_per_deviation=8,
        )  # fmt: skip
