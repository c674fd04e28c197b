"""A codec that encodes with SEANet and decodes with Vocos: WavTokenizer and Language-Codec."""

from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.base import CodecPass, TrainableCodec
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.nn.seanet import SEANetConfig, SEANetEncoder
from uslm_tokenizer.nn.vocos import Vocos, VocosConfig
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig


@dataclass(frozen=True, kw_only=True)
class VocosCodecConfig:
    """The parts of a VocosCodec."""

    encoder: SEANetConfig
    """From the waveform to latents."""
    quantizer: ResidualQuantizerConfig
    """Of the latents; its `dim` must be the encoder's."""
    decoder: VocosConfig
    """From quantized latents to the waveform."""
    sample_rate: int = 24_000
    """Samples per second of the waveform, Hz."""
    num_codebooks: int | None = None
    """Codebooks in use, from the first; None: all."""

    def __post_init__(self) -> None:
        if self.encoder.audio_channels != 1:
            raise ConfigError(
                f"encoder.audio_channels must be 1, but is {self.encoder.audio_channels}"
            )
        dim, hop_length = self.encoder.dim, self.encoder.hop_length
        for name, found, wanted in (
            ("quantizer.levels", self.quantizer.levels[0].dim, dim),
            ("decoder.in_dim", self.decoder.in_dim, dim),
            ("decoder.hop_length", self.decoder.hop_length, hop_length),
        ):
            if found != wanted:
                raise ConfigError(f"{name} must fit the encoder, {wanted}, but is {found}")


class VocosCodec(TrainableCodec):
    """Waveform <-> codes [b, k, t].

    The norms of the published decoders depend on a condition, once meant for the bit rate; only
    condition 0 is used in inference.
    """

    config_class: ClassVar[type] = VocosCodecConfig
    quantizer_class: ClassVar[type[ResidualQuantizer]] = ResidualQuantizer
    config: VocosCodecConfig

    def __init__(self, config: VocosCodecConfig) -> None:
        super().__init__(config)
        self.encoder = SEANetEncoder(config.encoder)
        self.quantizer = self.quantizer_class(config.quantizer)
        self.decoder = Vocos(config.decoder)
        if config.num_codebooks is not None:
            self.use_codebooks(config.num_codebooks)

    @property
    def sample_rate(self) -> int:
        return self.config.sample_rate

    @property
    def hop_length(self) -> int:
        return self.config.encoder.hop_length

    @property
    def num_codebooks(self) -> int:
        return self.config.num_codebooks or self.quantizer.num_codebooks

    @property
    def codebook_size(self) -> int:
        return self.quantizer.codebook_size

    @property
    def decoder_context_frames(self) -> int | None:
        """Frames to each side that a decoded frame depends on; None: on all."""
        return self.decoder.context_frames

    def use_codebooks(self, count: int) -> None:
        least, most = self.quantizer.config.min_levels, self.quantizer.num_codebooks
        if not least <= count <= most:
            raise UserError(
                f"the number of codebooks must be from {least} to {most}, but is {count}"
            )
        self.config = replace(self.config, num_codebooks=count)

    @property
    def latent_dim(self) -> int:
        return self.config.encoder.dim

    @torch.no_grad()
    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b k t"]:
        self.check_waveform(waveform)

        def encode(alone: Tensor) -> Tensor:
            return self.quantizer.encode(self.encoder(alone), self.num_codebooks)

        return self.encode_by_length(waveform.to(self.dtype), lengths, encode)

    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b 1 n"]:
        self.check_codes(codes)
        return self.synthesize(self.quantizer.decode(codes))

    def forward(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> CodecPass:
        """Encode, quantise and decode, for training; `generator` draws for the quantizer."""
        quantized = self.quantizer(self.encoder(waveform), generator=generator)
        return CodecPass(self.synthesize(quantized.latents), quantized)

    @torch.no_grad()
    def initialize(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> None:
        self.quantizer.initialize(self.encoder(waveform), generator=generator)

    def synthesize(
        self, latents: Float[Tensor, "b d t"], condition: int = 0
    ) -> Float[Tensor, "b 1 n"]:
        """The waveform of quantized latents."""
        return cast(
            Tensor, self.decoder(latents.to(self.dtype), self.condition(latents, condition))
        )

    def condition(
        self, latents: Float[Tensor, "b d t"], condition: int
    ) -> Int[Tensor, " b"] | None:
        """The decoder's condition for each row; None if it has none."""
        if not self.config.decoder.num_conditions:
            return None
        return torch.full((len(latents),), condition, device=latents.device)
