"""Mimi (Defossez et al. 2024, arXiv 2410.00037), the codec of Moshi, as a module that trains.

    waveform -> SEANet -> transformer -> conv of stride 2 -> split quantizer
             -> transposed conv -> transformer -> SEANet -> waveform

All of it is causal: a stream is coded and decoded chunk by chunk, with nothing heard in advance.
`codecs/transformers` holds the same network of that package, for inference only.
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.base import CodecPass, TrainableCodec
from uslm_tokenizer.codecs.mimi.quantizer import MimiQuantizer, MimiQuantizerConfig
from uslm_tokenizer.codecs.mimi.transformer import WindowedTransformer
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.nn.attention import KVCache
from uslm_tokenizer.nn.conv import Conv1d, ConvState, ConvTranspose1d
from uslm_tokenizer.nn.seanet import SEANetConfig, SEANetDecoder, SEANetEncoder, SEANetState
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig


def mimi_network() -> SEANetConfig:
    """The published convolutions: 25 frames per second at 24 kHz."""
    return SEANetConfig(
        dim=512,
        num_filters=64,
        strides=(4, 5, 6, 8),
        last_kernel_size=3,
        shortcut_conv=False,
        num_lstm_layers=0,
        norm="none",
        causal=True,
        padding="zeros",
    )


@dataclass(frozen=True, kw_only=True)
class MimiCodecConfig:
    """Sizes of a MimiCodec; the defaults are the published ones."""

    sample_rate: int = 24_000
    """Samples per second of the waveform, Hz."""
    network: SEANetConfig = field(default_factory=mimi_network)
    """Convolutions of encoder and decoder; they must be causal."""
    frame_stride: int = 2
    """Frames of the convolutions that become one frame of codes."""
    num_heads: int = 8
    """Attention heads of each layer."""
    num_layers: int = 8
    """Layers of each of the two transformers."""
    hidden_dim: int = 2048
    """Width inside their feed-forward layers."""
    context: int = 250
    """Frames of the convolutions that a transformer's frame sees, itself among them."""
    layer_scale: float = 0.01
    """What each branch of the transformers is multiplied by when training begins."""
    quantizer: MimiQuantizerConfig = field(default_factory=MimiQuantizerConfig)
    """Semantic and acoustic codebooks."""
    upsample_groups: int | None = None
    """Groups of the transposed convolution; None: each channel is its own."""
    num_codebooks: int | None = None
    """Codebooks in use, the first so many; None: all."""

    def __post_init__(self) -> None:
        if not self.network.causal:
            raise ConfigError("network.causal must be true, but is false")
        if self.network.audio_channels != 1:
            raise ConfigError(
                f"network.audio_channels must be 1, but is {self.network.audio_channels}"
            )
        if self.network.dim % self.num_heads:
            raise ConfigError(
                f"network.dim must be a multiple of num_heads, {self.num_heads}, "
                f"but is {self.network.dim}"
            )
        for name in ("frame_stride", "context"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more, but is {getattr(self, name)}")


@dataclass
class MimiState:
    """One direction of a stream: what each part keeps between two chunks."""

    convolutions: SEANetState
    transformer: KVCache
    resampling: ConvState


class MimiCodec(TrainableCodec):
    """Waveform <-> codes [b, k, t], the first of them semantic.

    Of a training pass `quantized.levels[0]` is what a speech encoder's features may teach.
    """

    model_type: ClassVar[str] = "mimi_codec"
    config_class: ClassVar[type] = MimiCodecConfig
    config: MimiCodecConfig

    def __init__(self, config: MimiCodecConfig) -> None:
        super().__init__(config)
        dim, stride = config.network.dim, config.frame_stride
        groups = dim if config.upsample_groups is None else config.upsample_groups
        self.encoder = SEANetEncoder(config.network)
        self.encoder_transformer = self._transformer()
        self.downsample = Conv1d(
            dim, dim, 2 * stride,
            stride=stride, causal=True, norm="none", padding="replicate", bias=False,
        )  # fmt: skip
        self.quantizer = MimiQuantizer(dim, config.quantizer)
        self.upsample = ConvTranspose1d(
            dim, dim, 2 * stride,
            stride=stride, causal=True, norm="none", groups=groups, bias=False,
        )  # fmt: skip
        self.decoder_transformer = self._transformer()
        self.decoder = SEANetDecoder(config.network)
        if config.num_codebooks is not None:
            self.use_codebooks(config.num_codebooks)

    def _transformer(self) -> WindowedTransformer:
        config = self.config
        return WindowedTransformer(
            config.network.dim,
            config.num_heads,
            config.num_layers,
            hidden_dim=config.hidden_dim,
            window=config.context,
            scale=config.layer_scale,
        )

    @property
    def sample_rate(self) -> int:
        return self.config.sample_rate

    @property
    def hop_length(self) -> int:
        return self.config.network.hop_length * self.config.frame_stride

    @property
    def num_codebooks(self) -> int:
        return self.config.num_codebooks or self.quantizer.num_codebooks

    @property
    def codebook_size(self) -> int:
        return self.quantizer.codebook_size

    @property
    def causal(self) -> bool:
        return True

    @property
    def latent_dim(self) -> int:
        return self.config.network.dim

    def use_codebooks(self, count: int) -> None:
        most = self.quantizer.num_codebooks
        if not 1 <= count <= most:
            raise UserError(f"the number of codebooks must be from 1 to {most}, but is {count}")
        self.config = replace(self.config, num_codebooks=count)

    @torch.no_grad()
    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b k t"]:
        self.check_waveform(waveform)

        def encode(alone: Tensor) -> Tensor:
            return self.quantizer.encode(self._latents(alone), self.num_codebooks)

        return self.encode_by_length(waveform.to(self.dtype), lengths, encode)

    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b 1 n"]:
        self.check_codes(codes)
        return self._synthesize(self.quantizer.decode(codes).to(self.dtype))

    def forward(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> CodecPass:
        """Encode, quantise and decode, for training; `generator` draws for the quantizer."""
        quantized = self.quantizer(self._latents(waveform), generator=generator)
        return CodecPass(self._synthesize(quantized.latents), quantized)

    @torch.no_grad()
    def initialize(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> None:
        """Start the codebooks from k-means of this sound, as training should begin."""
        self.quantizer.initialize(self._latents(waveform), generator=generator)

    def start_encoding(self, batch_size: int = 1) -> MimiState:
        """The beginning of a stream of samples."""
        return MimiState(
            self.encoder.init_state(batch_size),
            self.encoder_transformer.init_state(batch_size),
            self.downsample.init_state(batch_size),
        )

    def start_decoding(self, batch_size: int = 1) -> MimiState:
        """The beginning of a stream of codes."""
        return MimiState(
            self.decoder.init_state(batch_size),
            self.decoder_transformer.init_state(batch_size),
            self.upsample.init_state(batch_size),
        )

    @torch.no_grad()
    def encode_chunk(
        self, waveform: Float[Tensor, "b 1 n"], state: MimiState, is_final: bool = False
    ) -> Int[Tensor, "b k t"]:
        """Codes of the frames that are complete with these samples; a chunk of `hop_length`
        samples completes one. The last chunk must say `is_final`, and may be empty."""
        latents = self.encoder(waveform.to(self.dtype), state.convolutions, is_final)
        latents = self.encoder_transformer.next(latents, state.transformer)
        latents = self.downsample(latents, state.resampling, is_final)
        if latents.shape[-1] == 0:
            return waveform.new_zeros(len(waveform), self.num_codebooks, 0, dtype=torch.long)
        return self.quantizer.encode(latents, self.num_codebooks)

    @torch.no_grad()
    def decode_chunk(self, codes: Int[Tensor, "b k t"], state: MimiState) -> Float[Tensor, "b 1 n"]:
        """Samples of the next frames: `hop_length` for each, with nothing held back."""
        self.check_codes(codes)
        latents = self.quantizer.decode(codes).to(self.dtype)
        latents = self.upsample(latents, state.resampling)
        latents = self.decoder_transformer.next(latents, state.transformer)
        return cast(Tensor, self.decoder(latents, state.convolutions))

    def _latents(self, waveform: Float[Tensor, "b 1 n"]) -> Float[Tensor, "b d t"]:
        latents = self.encoder_transformer.whole(self.encoder(waveform))
        return cast(Tensor, self.downsample(latents))

    def _synthesize(self, latents: Float[Tensor, "b d t"]) -> Float[Tensor, "b 1 n"]:
        latents = self.decoder_transformer.whole(self.upsample(latents))
        return cast(Tensor, self.decoder(latents))

    @classmethod
    def tiny_config(cls) -> MimiCodecConfig:
        return MimiCodecConfig(
            network=replace(mimi_network(), dim=16, num_filters=4, strides=(4, 5, 8)),
            num_heads=2,
            num_layers=1,
            hidden_dim=16,
            context=12,
            layer_scale=0.1,
            quantizer=MimiQuantizerConfig(
                level=VectorQuantizerConfig(dim=8, codebook_size=16), num_levels=4
            ),
        )
