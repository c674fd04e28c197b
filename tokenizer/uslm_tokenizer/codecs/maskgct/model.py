"""MaskGCT's acoustic codec: 24 kHz speech as 12 residual codes, 50 times per second.

    waveform -> DAC's encoder -> residual factorised codebooks -> Vocos -> waveform

Wang et al. 2025, section 3.2.3. It was published in two files, so encoder and decoder are models of
their own; `MaskGCTCodec` is both.
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.base import AudioTokenizer, CodecPass, TrainableCodec
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.nn.dac import DacEncoder
from uslm_tokenizer.nn.vocos import Vocos, VocosConfig
from uslm_tokenizer.quantize.factorized import FactorizedQuantizerConfig
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig


@dataclass(frozen=True, kw_only=True)
class MaskGCTEncoderConfig:
    """Sizes of a MaskGCTEncoder."""

    dim: int = 96
    """Width of the first layer; each stride doubles it."""
    strides: tuple[int, ...] = (3, 4, 5, 8)
    """Down-sampling of each block; their product is the hop length."""
    out_dim: int = 256
    """Width of the latents."""
    bounded: bool = False
    """Whether a tanh keeps the latents within -1 and 1."""


class MaskGCTEncoder(PretrainedModel):
    """Waveform -> latents."""

    model_type: ClassVar[str] = "maskgct_encoder"
    config_class: ClassVar[type] = MaskGCTEncoderConfig
    config: MaskGCTEncoderConfig

    def __init__(self, config: MaskGCTEncoderConfig) -> None:
        super().__init__(config)
        self.network = DacEncoder(config.dim, config.strides, config.out_dim)

    @property
    def hop_length(self) -> int:
        """Samples of one frame."""
        return self.network.hop_length

    def forward(self, waveform: Float[Tensor, "b 1 n"]) -> Float[Tensor, "b d t"]:
        """See `DacEncoder` for waveforms that are not of whole hops."""
        latents = self.network(waveform)
        return cast(Tensor, latents.tanh() if self.config.bounded else latents)


@dataclass(frozen=True, kw_only=True)
class MaskGCTDecoderConfig:
    """Sizes of a MaskGCTDecoder."""

    quantizer: ResidualQuantizerConfig = field(default_factory=lambda: codebooks(12, 256))
    """The codebooks."""
    vocos: VocosConfig = field(
        default_factory=lambda: VocosConfig(
            in_dim=256, dim=512, hidden_dim=4096, num_layers=30, n_fft=1920, hop_length=480
        )
    )
    """The network behind them."""


class MaskGCTDecoder(PretrainedModel):
    """Latents <-> codes -> waveform."""

    model_type: ClassVar[str] = "maskgct_decoder"
    config_class: ClassVar[type] = MaskGCTDecoderConfig
    config: MaskGCTDecoderConfig

    def __init__(self, config: MaskGCTDecoderConfig) -> None:
        super().__init__(config)
        self.quantizer = ResidualQuantizer(config.quantizer)
        self.vocos = Vocos(config.vocos)

    def forward(self, latents: Float[Tensor, "b d t"]) -> Float[Tensor, "b 1 n"]:
        """The waveform of quantized latents."""
        return cast(Tensor, self.vocos(latents.to(self.dtype)))


@dataclass(frozen=True, kw_only=True)
class MaskGCTCodecConfig:
    """The parts of a MaskGCTCodec."""

    encoder: MaskGCTEncoderConfig = field(default_factory=MaskGCTEncoderConfig)
    """Waveform to latents."""
    decoder: MaskGCTDecoderConfig = field(default_factory=MaskGCTDecoderConfig)
    """Latents to codes, codes to waveform."""
    sample_rate: int = 24_000
    """Samples per second of the waveform, Hz."""
    num_codebooks: int | None = None
    """How many of the codebooks are in use, from the first; None: all."""


class MaskGCTCodec(TrainableCodec):
    """Waveform <-> codes [b, k, t]."""

    model_type: ClassVar[str] = "maskgct_codec"
    config_class: ClassVar[type] = MaskGCTCodecConfig
    config: MaskGCTCodecConfig

    def __init__(self, config: MaskGCTCodecConfig) -> None:
        super().__init__(config)
        self._assemble(MaskGCTEncoder(config.encoder), MaskGCTDecoder(config.decoder))

    @classmethod
    def from_parts(cls, encoder: MaskGCTEncoder, decoder: MaskGCTDecoder) -> "MaskGCTCodec":
        """Of a loaded encoder and a loaded decoder, which are not copied."""
        codec = cls.__new__(cls)
        config = MaskGCTCodecConfig(encoder=encoder.config, decoder=decoder.config)
        AudioTokenizer.__init__(codec, config)
        codec._assemble(encoder, decoder)
        return codec.eval()

    def _assemble(self, encoder: MaskGCTEncoder, decoder: MaskGCTDecoder) -> None:
        vocos, dim = decoder.config.vocos, decoder.config.quantizer.levels[0].dim
        if encoder.hop_length != vocos.hop_length:
            raise ConfigError(
                f"the decoder's hop_length must be {encoder.hop_length}, the product of the "
                f"encoder's strides, but is {vocos.hop_length}"
            )
        if len({encoder.config.out_dim, dim, vocos.in_dim}) != 1:
            raise ConfigError(
                "encoder, codebooks and decoder must be of one width, "
                f"but are {encoder.config.out_dim}, {dim} and {vocos.in_dim}"
            )
        self.encoder, self.decoder = encoder, decoder
        if self.config.num_codebooks is not None:
            self.use_codebooks(self.config.num_codebooks)

    @property
    def sample_rate(self) -> int:
        return self.config.sample_rate

    @property
    def hop_length(self) -> int:
        return self.encoder.hop_length

    @property
    def num_codebooks(self) -> int:
        return self.config.num_codebooks or self.decoder.quantizer.num_codebooks

    @property
    def codebook_size(self) -> int:
        return self.decoder.quantizer.codebook_size

    @property
    def decoder_context_frames(self) -> int | None:
        """Frames to each side that a decoded frame depends on."""
        return self.decoder.vocos.context_frames

    def use_codebooks(self, count: int) -> None:
        most = self.decoder.quantizer.num_codebooks
        if not 1 <= count <= most:
            raise UserError(f"the number of codebooks must be from 1 to {most}, but is {count}")
        self.config = replace(self.config, num_codebooks=count)

    @property
    def latent_dim(self) -> int:
        return self.encoder.config.out_dim

    @torch.no_grad()
    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b k t"]:
        self.check_waveform(waveform)
        return self.encode_by_length(waveform, lengths, self._encode)

    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b 1 n"]:
        self.check_codes(codes)
        return cast(Tensor, self.decoder(self.decoder.quantizer.decode(codes)))

    def forward(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> CodecPass:
        """Encode, quantise and decode; n must be of whole hops.

        `generator` draws how many codebooks each row keeps (quantizer dropout).
        """
        quantized = self.decoder.quantizer(self.encoder(waveform), generator=generator)
        return CodecPass(self.decoder(quantized.latents), quantized)

    @torch.no_grad()
    def initialize(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> None:
        self.decoder.quantizer.initialize(self.encoder(waveform), generator=generator)

    def _encode(self, waveform: Float[Tensor, "b 1 n"]) -> Int[Tensor, "b k t"]:
        padded = F.pad(waveform, (0, -waveform.shape[-1] % self.hop_length))
        latents = self.encoder(padded.to(self.dtype)).float()
        return self.decoder.quantizer.encode(latents, self.num_codebooks)

    @classmethod
    def tiny_config(cls) -> MaskGCTCodecConfig:
        return MaskGCTCodecConfig(
            encoder=MaskGCTEncoderConfig(dim=4, strides=(2, 3, 5), out_dim=8),
            decoder=MaskGCTDecoderConfig(
                quantizer=codebooks(3, 8, codebook_size=32, code_dim=4),
                vocos=VocosConfig(
                    in_dim=8, dim=12, hidden_dim=24, num_layers=2, n_fft=120, hop_length=30
                ),
            ),
        )


def codebooks(
    count: int,
    dim: int,
    *,
    codebook_size: int = 1024,
    code_dim: int = 8,
    commitment_weight: float = 0.25,
    codebook_weight: float = 1.0,
    dropout: float = 0.5,
    cosine: bool = True,
) -> ResidualQuantizerConfig:
    """So many factorised codebooks, as MaskGCT's codec has them, of latents of width `dim`."""
    level = FactorizedQuantizerConfig(
        dim=dim,
        codebook_size=codebook_size,
        code_dim=code_dim,
        commitment_weight=commitment_weight,
        codebook_weight=codebook_weight,
        cosine=cosine,
        weight_norm=True,
        count_use=False,
    )
    return ResidualQuantizerConfig(levels=(level,) * count, dropout=dropout)
