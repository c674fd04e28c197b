"""A codec of waveforms put together from any encoder, quantizer and decoder, for training.

    waveform -> SEANet or DAC's --------> latents -> quantizer -> SEANet or Vocos -> waveform
             -> frozen speech encoder --> (joined, where there is one) -> features

With one residual stack it is EnCodec or SpeechTokenizer, with a split one Mimi (Defossez et al.
2024), with masked channels Language-Codec. The frozen speech encoder beside the other is X-Codec's
semantic branch (Ye et al. 2024): its features go into the quantizer, and are to come out again.
"""

from dataclasses import dataclass, field
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm_tokenizer.base import CodecPass, TrainableCodec
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.dac import DacEncoder, DacEncoderConfig
from uslm_tokenizer.nn.seanet import SEANetConfig, SEANetDecoder, SEANetEncoder
from uslm_tokenizer.nn.vocos import Vocos, VocosConfig
from uslm_tokenizer.quantize.build import QuantizerConfig, build_quantizer
from uslm_tokenizer.quantize.rvq import ResidualQuantizerConfig
from uslm_tokenizer.quantize.split import SplitQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig
from uslm_tokenizer.ssl.encoder import SSLConfig, SSLEncoder
from uslm_tokenizer.ssl.front_ends import HOP_LENGTH, SAMPLE_RATE
from uslm_tokenizer.ssl.tiny_backbones import TINY_HUBERT


def residual_levels(dim: int, codebook_size: int, count: int) -> ResidualQuantizerConfig:
    """Levels whose codebooks are moving averages, and all of which every row uses."""
    level = VectorQuantizerConfig(dim=dim, codebook_size=codebook_size)
    return ResidualQuantizerConfig(levels=(level,) * count, dropout=0.0)


@dataclass(frozen=True, kw_only=True)
class WaveformCodecConfig:
    """The parts of a WaveformCodec."""

    sample_rate: int = 16_000
    """Samples per second of the waveform, Hz."""
    encoder: SEANetConfig | DacEncoderConfig = field(default_factory=SEANetConfig)
    """From the waveform to latents; `num_channels` makes it DAC's."""
    quantizer: QuantizerConfig = field(default_factory=lambda: residual_levels(128, 1024, 8))
    """Of the latents; its `dim` must be the encoder's."""
    decoder: SEANetConfig | VocosConfig | None = None
    """From quantized latents to the waveform; None: the counterpart of a SEANet encoder."""
    semantic: SSLConfig | None = None
    """The frozen speech encoder of a semantic branch, 16 kHz and 50 Hz; None: no branch."""

    def __post_init__(self) -> None:
        dim, hop = self.encoder.dim, self.encoder.hop_length
        decoder = self.decoder
        if decoder is None and not isinstance(self.encoder, SEANetConfig):
            raise ConfigError("decoder must be given to a DAC encoder, but is None")
        wanted = [("quantizer.dim", self.quantizer.dim, dim)]
        if isinstance(decoder, VocosConfig):
            wanted.append(("decoder.in_dim", decoder.in_dim, dim))
        elif decoder is not None:
            wanted.append(("decoder.dim", decoder.dim, dim))
        if decoder is not None:
            wanted.append(("decoder.hop_length", decoder.hop_length, hop))
        if self.semantic is not None:
            wanted.append(("sample_rate", self.sample_rate, SAMPLE_RATE))
            wanted.append(("encoder.hop_length", hop, HOP_LENGTH))
        wanted.append(("encoder.audio_channels", self.encoder.audio_channels, 1))
        for name, found, right in wanted:
            if found != right:
                raise ConfigError(f"{name} must be {right}, but is {found}")
        if self.semantic is not None and self.semantic.padding == "none":
            raise ConfigError('semantic.padding must be "both" or "end", but is "none"')


@dataclass
class BranchedPass(CodecPass):
    """A training pass of a codec with a semantic branch."""

    features: Float[Tensor, "b t e"]
    """The speech encoder's, standardised."""
    restored: Float[Tensor, "b t e"]
    """What the quantized latents say of them."""


class SemanticBranch(nn.Module):
    """Features of a frozen speech encoder, joined with the latents, and told from their codes."""

    def __init__(self, config: SSLConfig, dim: int) -> None:
        super().__init__()
        self.encoder = SSLEncoder(config)
        self.into = nn.Conv1d(self.encoder.dim, dim, 3, padding=1)
        self.join = nn.Conv1d(2 * dim, dim, 1)
        self.restore = nn.Sequential(
            nn.Conv1d(dim, dim, 3, padding=1), nn.GELU(), nn.Conv1d(dim, self.encoder.dim, 1)
        )


class WaveformCodec(TrainableCodec):
    """Waveform <-> codes [b, k, t]."""

    model_type: ClassVar[str] = "waveform_codec"
    config_class: ClassVar[type] = WaveformCodecConfig
    config: WaveformCodecConfig

    def __init__(self, config: WaveformCodecConfig) -> None:
        super().__init__(config)
        self.encoder: nn.Module = (
            SEANetEncoder(config.encoder)
            if isinstance(config.encoder, SEANetConfig)
            else DacEncoder(config.encoder.num_channels, config.encoder.strides, config.encoder.dim)
        )
        self.quantizer = build_quantizer(config.quantizer)
        decoder = config.decoder
        if decoder is None:
            assert isinstance(config.encoder, SEANetConfig), "the config sees to it"
            decoder = config.encoder
        self.decoder: nn.Module = (
            Vocos(decoder) if isinstance(decoder, VocosConfig) else SEANetDecoder(decoder)
        )
        self.branch = (
            None if config.semantic is None else SemanticBranch(config.semantic, config.encoder.dim)
        )

    @property
    def sample_rate(self) -> int:
        return self.config.sample_rate

    @property
    def hop_length(self) -> int:
        return self.config.encoder.hop_length

    @property
    def num_codebooks(self) -> int:
        return self.quantizer.num_codebooks

    @property
    def codebook_size(self) -> int:
        return self.quantizer.codebook_size

    @property
    def latent_dim(self) -> int:
        return self.config.encoder.dim

    @torch.no_grad()
    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b k t"]:
        self.check_waveform(waveform)

        def encode(alone: Tensor) -> Tensor:
            return self.quantizer.encode(self._latents(alone)[0])

        return self.encode_by_length(waveform.to(self.dtype), lengths, encode)

    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b 1 n"]:
        self.check_codes(codes)
        return cast(Tensor, self.decoder(self.quantizer.decode(codes).to(self.dtype)))

    def forward(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> CodecPass:
        """As of any codec; with a semantic branch, a `BranchedPass`."""
        latents, features = self._latents(waveform)
        quantized = self.quantizer(latents, generator=generator)
        made = self.decoder(quantized.latents)
        if self.branch is None or features is None:
            return CodecPass(made, quantized)
        restored = self.branch.restore(quantized.latents).transpose(1, 2)
        return BranchedPass(made, quantized, features, restored)

    @torch.no_grad()
    def initialize(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> None:
        self.quantizer.initialize(self._latents(waveform)[0], generator=generator)

    def _latents(
        self, waveform: Float[Tensor, "b 1 n"]
    ) -> tuple[Float[Tensor, "b d t"], Float[Tensor, "b t e"] | None]:
        """Latents that are quantized; and the features, where there is a branch."""
        whole = F.pad(waveform, (0, -waveform.shape[-1] % self.hop_length))
        is_seanet = isinstance(self.encoder, SEANetEncoder)  # which fills the last frame itself
        latents = cast(Tensor, self.encoder(waveform if is_seanet else whole))
        if self.branch is None:
            return latents, None
        whole = F.pad(waveform, (0, -waveform.shape[-1] % HOP_LENGTH))
        features = self.branch.encoder(whole)[0]
        semantic = self.branch.into(features.transpose(1, 2).to(latents.dtype))
        return self.branch.join(torch.cat([latents, semantic], 1)), features

    @classmethod
    def tiny_config(cls) -> WaveformCodecConfig:
        return WaveformCodecConfig(
            encoder=SEANetConfig(dim=12, num_filters=2, strides=(4, 8, 10), num_lstm_layers=0),
            quantizer=SplitQuantizerConfig(
                semantic=residual_levels(12, 16, 1), acoustic=residual_levels(12, 16, 2)
            ),
            semantic=SSLConfig(backbone=TINY_HUBERT, layers=(1,)),
        )
