"""A variational codec (Kingma & Welling 2014): what diffusion and flow models of latents stand on.

    waveform -> SEANet -> mean and variance of each latent -> a draw -> SEANet -> waveform

AudioVAE of VoxCPM (arXiv 2509.24650) and the VAE-GAN of MeLoDy (Lam et al. 2023) are of this kind.
The latents are pulled towards a standard normal distribution, so they have one scale whatever the
data are. Language models use the latents; the codes are the same, rounded, for files and tables.
"""

from dataclasses import dataclass, field
from typing import ClassVar, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm_tokenizer.base import CodecPass, LatentCodec
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.nn.seanet import SEANetConfig, SEANetDecoder, SEANetEncoder, SEANetState
from uslm_tokenizer.quantize.base import Quantized, full_precision

LOG_VARIANCES = (-20.0, 4.0)
"""Beyond them a variance is 0 or means nothing, and its exponential is no number to learn from."""

FIRST_LOG_VARIANCE = -6.0
"""Of an untrained posterior."""


def vae_network() -> SEANetConfig:
    """Convolutions of 25 frames per second at 16 kHz, causal, as VoxCPM's."""
    return SEANetConfig(
        dim=512, num_filters=64, strides=(2, 5, 8, 8), num_residual_units=3, num_lstm_layers=0,
        causal=True, padding="zeros",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class VAECodecConfig:
    """Sizes of a VAECodec."""

    sample_rate: int = 16_000
    """Samples per second of the waveform, Hz."""
    network: SEANetConfig = field(default_factory=vae_network)
    """Convolutions of encoder and decoder."""
    latent_dim: int = 64
    """Values of one frame."""
    gain: float = 1.0
    """What waveforms are multiplied by on their way in, and divided by on their way out. Speech is
    quiet: at its own level the layers are as good as linear, and training stays where it begins."""
    steps_per_deviation: int = 16
    """Codes for each standard deviation of a latent."""
    reach: float = 4.0
    """Standard deviations to either side that have codes; what lies beyond is cut there."""

    def __post_init__(self) -> None:
        if self.network.audio_channels != 1:
            raise ConfigError(
                f"network.audio_channels must be 1, not {self.network.audio_channels}"
            )
        for name in ("latent_dim", "gain", "steps_per_deviation", "reach"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be above 0, but is {getattr(self, name)}")


@dataclass
class Posterior:
    """Posterior of each latent by the encoder: a normal distribution."""

    mean: Float[Tensor, "b d t"]
    log_variance: Float[Tensor, "b d t"]

    def sample(self, generator: torch.Generator | None = None) -> Float[Tensor, "b d t"]:
        """A draw, through which the gradient passes (the reparameterisation trick)."""
        noise = torch.randn(
            self.mean.shape, generator=generator, device=(generator or self.mean).device
        )
        return self.mean + (0.5 * self.log_variance).exp() * noise.to(self.mean.device)

    def divergence(self) -> Float[Tensor, ""]:
        """From the standard normal distribution, nats for each latent (Kullback & Leibler)."""
        variance = self.log_variance.exp()
        return 0.5 * (self.mean.square() + variance - 1 - self.log_variance).mean()


class VAECodec(LatentCodec):
    """Waveform <-> latents [b, d, t], or codes [b, d, t]."""

    model_type: ClassVar[str] = "vae_codec"
    config_class: ClassVar[type] = VAECodecConfig
    config: VAECodecConfig

    def __init__(self, config: VAECodecConfig) -> None:
        super().__init__(config)
        self.encoder = SEANetEncoder(config.network)
        self.to_posterior = nn.Conv1d(config.network.dim, 2 * config.latent_dim, 1)
        # Noise as loud as the first latents drowns them, and the decoder learns to do without.
        bias = cast(Tensor, self.to_posterior.bias)
        nn.init.constant_(bias[config.latent_dim :], FIRST_LOG_VARIANCE)
        self.from_latents = nn.Conv1d(config.latent_dim, config.network.dim, 1)
        self.decoder = SEANetDecoder(config.network)

    @property
    def sample_rate(self) -> int:
        return self.config.sample_rate

    @property
    def hop_length(self) -> int:
        return self.config.network.hop_length

    @property
    def num_codebooks(self) -> int:
        return self.config.latent_dim

    @property
    def codebook_size(self) -> int:
        return 2 * round(self.config.reach * self.config.steps_per_deviation) + 1

    @property
    def latent_dim(self) -> int:
        return self.config.latent_dim

    @property
    def causal(self) -> bool:
        return self.config.network.causal

    @property
    def gain(self) -> float:
        """Factor of waveforms on their way in."""
        return self.config.gain

    def posterior(self, waveform: Float[Tensor, "b 1 n"]) -> Posterior:
        """The distribution of the latents of waveforms of one length."""
        said = self.to_posterior(self.encoder(self.gain * waveform.to(self.dtype)))
        mean, log_variance = said.float().chunk(2, dim=1)
        return Posterior(mean, log_variance.clamp(*LOG_VARIANCES))

    @torch.no_grad()
    def encode_latents(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b d t"]:
        self.check_waveform(waveform)
        found = self.posterior(waveform)
        return found.mean if generator is None else found.sample(generator)

    def decode_latents(self, latents: Float[Tensor, "b d t"]) -> Float[Tensor, "b 1 n"]:
        if latents.shape[1] != self.latent_dim:
            raise UserError(
                f"latents must be [b, {self.latent_dim}, t], but are {list(latents.shape)}"
            )
        made = self.decoder(self.from_latents(latents.to(self.dtype)))
        return cast(Tensor, made / self.gain)

    def round_latents(self, latents: Float[Tensor, "b d t"]) -> Int[Tensor, "b d t"]:
        """The codes next to the latents."""
        most = self.codebook_size // 2
        steps = (latents.float() * self.config.steps_per_deviation).round()
        return steps.clamp(-most, most).long() + most

    def latents_of(self, codes: Int[Tensor, "b d t"]) -> Float[Tensor, "b d t"]:
        """Latents that the codes stand for."""
        return (codes - self.codebook_size // 2) / self.config.steps_per_deviation

    @torch.no_grad()
    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b k t"]:
        self.check_waveform(waveform)

        def encode(alone: Tensor) -> Tensor:
            return self.round_latents(self.posterior(alone).mean)

        return self.encode_by_length(waveform, lengths, encode)

    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b 1 n"]:
        self.check_codes(codes)
        return self.decode_latents(self.latents_of(codes))

    def init_state(self, batch_size: int) -> SEANetState:
        """The beginning of a stream of latents; UserError unless the codec is causal."""
        if not self.causal:
            raise UserError("network.causal must be True for a stream, but is False")
        return self.decoder.init_state(batch_size)

    @torch.no_grad()
    def decode_chunk(
        self, latents: Float[Tensor, "b d t"], state: SEANetState, *, is_final: bool = False
    ) -> Float[Tensor, "b 1 n"]:
        """The samples of the next frames, as `decode_latents` makes them of all; the last chunk
        says `is_final`, and gives what was held back."""
        hidden = self.from_latents(latents.to(self.dtype))
        return cast(Tensor, self.decoder(hidden, state, is_final) / self.gain)

    def forward(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> CodecPass:
        """A training pass; the quantizer's loss is the divergence of the posterior, so a recipe's
        `quantizer_weight` is the weight of that."""
        found = self.posterior(waveform)
        with full_precision(waveform):
            latents, divergence = found.sample(generator), found.divergence()
        zero = torch.zeros_like(divergence)
        codes = self.round_latents(latents.detach())
        quantized = Quantized(latents, codes, loss=divergence, commitment=divergence, codebook=zero)
        return CodecPass(self.decode_latents(latents), quantized)

    def initialize(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> None:
        """Nothing: there are no codebooks."""

    @classmethod
    def tiny_config(cls) -> VAECodecConfig:
        network = SEANetConfig(
            dim=12, num_filters=2, strides=(4, 8, 10), num_lstm_layers=0, causal=True,
            padding="zeros",
        )  # fmt: skip
        return VAECodecConfig(network=network, latent_dim=6, steps_per_deviation=8)
