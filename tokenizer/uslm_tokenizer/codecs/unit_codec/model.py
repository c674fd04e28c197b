"""The acoustic tokenizer: units first, then residual levels that add the voice and the room.

Level 0 of the codes is the unit of a frozen tokenizer: a UnitTokenizer, or units that a judge has
shaped, of k-means, of masked prediction. The encoder's latents, less the embedding of that unit,
are quantised by a residual stack; the decoder turns the sum of all codebooks into a spectrum and
that into a waveform (Vocos, Siuzdak 2023). So codes without codebook 1.. say what is spoken, and
the levels above say how it sounds.
"""

from dataclasses import dataclass, field
from typing import ClassVar, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.unit_codec.units import UnitsConfig, build_units
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer, UnitTokenizerConfig
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.nn.convnext import ConvNeXt
from uslm_tokenizer.nn.padding import frame_waveform
from uslm_tokenizer.nn.spectral import InverseSTFT, LogMel
from uslm_tokenizer.quantize.base import Quantized, Quantizer
from uslm_tokenizer.quantize.build import QuantizerConfig
from uslm_tokenizer.quantize.factorized import FactorizedQuantizerConfig
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig
from uslm_tokenizer.quantize.single import SingleConfig
from uslm_tokenizer.quantize.split import SplitQuantizerConfig


@dataclass(frozen=True, kw_only=True)
class UnitCodecConfig:
    """Sizes of a UnitCodec."""

    units: UnitsConfig = field(default_factory=UnitTokenizerConfig)
    """The semantic tokenizer inside; it gives codebook 0, the sample rate and the hop."""
    num_residual_levels: int = 7
    """Codebooks above the units."""
    residual: QuantizerConfig = field(
        default_factory=lambda: FactorizedQuantizerConfig(dim=384, code_dim=8)
    )
    """One of them, of any kind that gives one code a frame; its `dim` must be the codec's, its
    `codebook_size` the units'."""
    level_dropout: float = 0.5
    """Share of the rows of a training batch that use only their first few residual levels."""
    dim: int = 384
    """Width of encoder and decoder."""
    hidden_dim: int = 1152
    """Width inside each ConvNeXt block."""
    num_encoder_layers: int = 4
    """ConvNeXt blocks of the encoder."""
    num_decoder_layers: int = 8
    """ConvNeXt blocks of the decoder."""
    num_mels: int = 100
    """Mel bands of the encoder's input."""
    n_fft: int = 1280
    """Window of the encoder's spectrum and of the decoder's inverse STFT, samples."""


@dataclass
class Reconstruction:
    """A training pass of the codec."""

    waveform: Float[Tensor, "b 1 n"]
    quantized: Quantized


class UnitCodec(AudioTokenizer):
    """Waveform <-> codes [b, 1 + residual levels, t]."""

    model_type: ClassVar[str] = "unit_codec"
    config_class: ClassVar[type] = UnitCodecConfig
    config: UnitCodecConfig

    def __init__(self, config: UnitCodecConfig) -> None:
        super().__init__(config)
        self.units = build_units(config.units)
        self.mel = LogMel(
            self.units.sample_rate, config.n_fft, self.units.hop_length, config.num_mels
        )
        self.encoder = ConvNeXt(
            config.num_mels, config.dim, config.hidden_dim, config.num_encoder_layers
        )
        self.unit_embedding = nn.Embedding(self.units.codebook_size, config.dim)
        self.residual = ResidualQuantizer(
            ResidualQuantizerConfig(
                levels=(self._level(),) * config.num_residual_levels,
                dropout=config.level_dropout,
            )
        )
        self.decoder = ConvNeXt(
            config.dim, config.dim, config.hidden_dim, config.num_decoder_layers
        )
        self.head = nn.Linear(config.dim, config.n_fft + 2)
        self.inverse_stft = InverseSTFT(config.n_fft, self.units.hop_length)
        self._num_codebooks = 1 + config.num_residual_levels

    def _level(self) -> SingleConfig:
        """One residual level; ConfigError where it does not fit."""
        level, size = self.config.residual, self.units.codebook_size
        if level.num_codebooks != 1:
            raise ConfigError(
                f"residual must give one code a frame, but gives {level.num_codebooks}"
            )
        for name, found, right in (
            ("dim", level.dim, self.config.dim),
            ("codebook_size", level.codebook_size, size),
        ):
            if found != right:
                raise ConfigError(f"residual.{name} must be {right}, but is {found}")
        if isinstance(level, ResidualQuantizerConfig):  # a stack of one
            return level.levels[0]
        assert not isinstance(level, SplitQuantizerConfig), "which gives several codes"
        return level

    @property
    def sample_rate(self) -> int:
        return self.units.sample_rate

    @property
    def hop_length(self) -> int:
        return self.units.hop_length

    @property
    def num_codebooks(self) -> int:
        return self._num_codebooks

    @property
    def codebook_size(self) -> int:
        return self.units.codebook_size

    @property
    def decoder_context_frames(self) -> int:
        """Frames to each side that a decoded frame depends on."""
        overlap = -(-self.config.n_fft // (2 * self.hop_length))
        return self.decoder.context_frames + overlap

    @torch.no_grad()
    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b k t"]:
        self.check_waveform(waveform)
        units = self.units.encode(waveform, lengths)[:, 0]
        waveform, mask = frame_waveform(waveform, lengths, self.hop_length)
        latents = self._latents(waveform, mask) - self.embed_units(units)
        codes = torch.cat([units[:, None], self.residual.encode(latents)], dim=1)
        return codes[:, : self.num_codebooks]

    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b 1 n"]:
        self.check_codes(codes)
        latents = self.embed_units(codes[:, 0])
        if self.num_codebooks > 1:
            latents = latents + self.residual.decode(codes[:, 1:])
        return self.synthesize(latents)

    def use_codebooks(self, count: int) -> None:
        most = 1 + self.residual.num_codebooks
        if not 1 <= count <= most:
            raise UserError(f"the number of codebooks must be from 1 to {most}, but is {count}")
        self._num_codebooks = count

    def forward(
        self,
        waveform: Float[Tensor, "b 1 n"],
        units: Int[Tensor, "b t"],
        generator: torch.Generator | None = None,
    ) -> Reconstruction:
        """Encode, quantise and decode; units come ready, n must be t * hop_length.

        `generator` draws how many residual levels each row keeps (quantizer dropout).
        """
        mask = torch.ones_like(units, dtype=torch.bool)
        embedded = self.embed_units(units)
        quantized = self.residual(
            self._latents(waveform, mask) - embedded, mask, generator=generator
        )
        return Reconstruction(self.synthesize(quantized.latents + embedded), quantized)

    @torch.no_grad()
    def codebook_vectors(self) -> Float[Tensor, "levels v d"]:
        """Vectors that the codes of levels 1 and up add to the decoder's input."""
        codes = torch.arange(self.codebook_size, device=self.device)[None, None]
        levels = (cast(Quantizer, level) for level in self.residual.levels)
        return torch.stack([level.decode(codes)[0].T.float() for level in levels])

    def _latents(
        self, waveform: Float[Tensor, "b 1 n"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b d t"]:
        mel = (self.mel(waveform) + 5) / 3  # log-mel of speech: mean near -5, deviation near 3
        encoded = self.encoder(mel.to(self.head.weight.dtype), mask)
        return cast(Tensor, encoded.float().transpose(1, 2))

    def embed_units(self, units: Int[Tensor, "b t"]) -> Float[Tensor, "b d t"]:
        return cast(Tensor, self.unit_embedding(units).float().transpose(1, 2))

    def synthesize(self, latents: Float[Tensor, "b d t"]) -> Float[Tensor, "b 1 n"]:
        """The decoder: from the sum of all codebooks to samples."""
        hidden = self.decoder(latents.transpose(1, 2).to(self.head.weight.dtype))
        return self.inverse_stft.from_log_polar(self.head(hidden))

    @classmethod
    def tiny_config(cls) -> UnitCodecConfig:
        return UnitCodecConfig(
            units=UnitTokenizer.tiny_config(),
            num_residual_levels=3,
            residual=FactorizedQuantizerConfig(dim=24, codebook_size=32, code_dim=4),
            dim=24,
            hidden_dim=48,
            num_encoder_layers=1,
            num_decoder_layers=2,
        )
