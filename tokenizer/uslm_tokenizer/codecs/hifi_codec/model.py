"""HiFi-Codec: four codes a frame from group-residual quantization, decoded by HiFi-GAN.

Yang et al. 2023 (arXiv 2305.02765): a mirrored HiFi-GAN for an encoder, then two residual levels of
two groups of channels.
"""

from dataclasses import dataclass, field
from math import prod
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from uslm_tokenizer.base import CodecPass, TrainableCodec
from uslm_tokenizer.errors import AudioError, ConfigError
from uslm_tokenizer.nn.hifigan import SLOPE, HiFiGAN, ResidualStack, ResidualStackConfig
from uslm_tokenizer.quantize.base import Quantized
from uslm_tokenizer.quantize.grvq import GroupedQuantizerConfig
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig


def _pretrained_level() -> GroupedQuantizerConfig:
    group = VectorQuantizerConfig(
        dim=256, update="gradient", commitment_weight=0.25, dead_share=0.0, count_use=False
    )
    return GroupedQuantizerConfig(group=group)


@dataclass(frozen=True, kw_only=True)
class HiFiCodecConfig:
    """Sizes of a HiFiCodec; the defaults are the pretrained ones at 24 kHz with a hop of 320."""

    sample_rate: int = 24_000
    """Samples per second of the waveform, Hz."""
    strides: tuple[int, ...] = (2, 4, 5, 8)
    """Down-sampling of each stage of the encoder; the decoder goes back in reverse order."""
    kernel_sizes: tuple[int, ...] = (4, 8, 11, 16)
    """Of the convolutions of those strides; each exceeds its stride by an even number."""
    num_filters: int = 32
    """Channels of the encoder at the full sample rate; each stage doubles them."""
    decoder_dim: int = 512
    """Channels of the decoder at the frame rate; each stage halves them."""
    stacks: tuple[ResidualStackConfig, ...] = (
        ResidualStackConfig(kernel_size=3),
        ResidualStackConfig(kernel_size=7),
        ResidualStackConfig(kernel_size=11),
    )
    """Side by side in each stage of the decoder, in the encoder in reverse order."""
    level: GroupedQuantizerConfig = field(default_factory=_pretrained_level)
    """One residual level of the quantizer; its `dim` is the width of the latents."""
    num_levels: int = 2
    """Residual levels; each gives as many codes as it has groups."""
    fill_last_frame: bool = True
    """Silence follows a sound that does not end with a frame. Published is False: the samples of
    the unfinished frame are lost, and a sound shorter than a frame has no codes. Frames near the
    end have other codes then, so equality needs it."""

    def __post_init__(self) -> None:
        pairs = list(zip(self.strides, self.kernel_sizes, strict=False))
        if not pairs or len(self.strides) != len(self.kernel_sizes):
            raise ConfigError(
                "kernel_sizes must be as many as strides, but are "
                f"{self.kernel_sizes} for {self.strides}"
            )
        if any(kernel < stride or (kernel - stride) % 2 for stride, kernel in pairs):
            raise ConfigError(
                "kernel_sizes must each exceed the stride by an even number, but are "
                f"{self.kernel_sizes} for {self.strides}"
            )
        if self.num_filters % 8:
            raise ConfigError(f"num_filters must be a multiple of 8, but is {self.num_filters}")


class HiFiCodecEncoder(nn.Module):
    """Strided convolutions, and after each the normalised sum of several stacks.

    The sum is normalised after each stack is added, so that their order matters.
    """

    def __init__(self, config: HiFiCodecConfig) -> None:
        super().__init__()
        channels = config.num_filters
        self.num_stacks = len(config.stacks)
        self.input = weight_norm(nn.Conv1d(1, channels, 7, padding=3))
        self.downsamples, self.stacks = nn.ModuleList(), nn.ModuleList()
        self.norms = nn.ModuleList()
        for stride, kernel_size in zip(config.strides, config.kernel_sizes, strict=True):
            convolution = nn.Conv1d(
                channels, 2 * channels, kernel_size, stride, padding=(kernel_size - stride) // 2
            )
            self.downsamples.append(weight_norm(convolution))
            channels *= 2
            for stack in reversed(config.stacks):
                self.stacks.append(ResidualStack(channels, stack))
                self.norms.append(nn.GroupNorm(channels // 16, channels, eps=1e-6))
        self.output = nn.Conv1d(channels, config.level.dim, 3, padding=1)

    def forward(self, waveform: Float[Tensor, "b 1 n"]) -> Float[Tensor, "b d t"]:
        """t = n // hop length."""
        x = self.input(waveform)
        parallel = list(zip(self.stacks, self.norms, strict=True))
        for i, downsample in enumerate(self.downsamples):
            x = downsample(F.leaky_relu(x, SLOPE))
            total = torch.zeros_like(x)
            for stack, norm in parallel[i * self.num_stacks : (i + 1) * self.num_stacks]:
                total = norm(total + stack(x))
            x = total / self.num_stacks
        return cast(Tensor, self.output(F.leaky_relu(x)))


class HiFiCodec(TrainableCodec):
    """Waveform <-> codes [b, levels * groups, t]: codebook 0 group 0, codebook 0 group 1, ..."""

    model_type: ClassVar[str] = "hifi_codec"
    config_class: ClassVar[type] = HiFiCodecConfig
    config: HiFiCodecConfig

    def __init__(self, config: HiFiCodecConfig) -> None:
        super().__init__(config)
        self.encoder = HiFiCodecEncoder(config)
        self.quantizer = ResidualQuantizer(
            ResidualQuantizerConfig(levels=(config.level,) * config.num_levels, dropout=0.0)
        )
        self.decoder = HiFiGAN(
            config.level.dim, config.decoder_dim,
            config.strides[::-1], config.kernel_sizes[::-1], config.stacks,
        )  # fmt: skip

    @property
    def sample_rate(self) -> int:
        return self.config.sample_rate

    @property
    def hop_length(self) -> int:
        return prod(self.config.strides)

    @property
    def num_codebooks(self) -> int:
        return self.quantizer.num_codebooks

    @property
    def codebook_size(self) -> int:
        return self.quantizer.codebook_size

    @property
    def decoder_context_frames(self) -> int:
        """Frames to each side that a decoded frame depends on."""
        return self.decoder.context_frames

    @property
    def latent_dim(self) -> int:
        return self.config.level.dim

    @torch.no_grad()
    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b k t"]:
        self.check_waveform(waveform)
        return self.encode_by_length(waveform.to(self.dtype), lengths, self._encode)

    def _encode(self, waveform: Float[Tensor, "b 1 n"]) -> Int[Tensor, "b k t"]:
        if self.config.fill_last_frame:
            waveform = F.pad(waveform, (0, -waveform.shape[-1] % self.hop_length))
        elif waveform.shape[-1] < self.hop_length:
            raise AudioError(
                f"waveform must have at least {self.hop_length} samples, one frame, unless "
                f"fill_last_frame is set, but has {waveform.shape[-1]}"
            )
        return self.quantizer.encode(self.encoder(waveform))

    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b 1 n"]:
        self.check_codes(codes)
        return cast(Tensor, self.decoder(self.quantizer.decode(codes).to(self.dtype)))

    def forward(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> CodecPass:
        """Encode, quantise and decode, for training; n must be t * hop_length."""
        quantized: Quantized = self.quantizer(self.encoder(waveform), generator=generator)
        return CodecPass(self.decoder(quantized.latents), quantized)

    @torch.no_grad()
    def initialize(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> None:
        self.quantizer.initialize(self.encoder(waveform), generator=generator)

    @classmethod
    def tiny_config(cls) -> HiFiCodecConfig:
        group = VectorQuantizerConfig(
            dim=8, codebook_size=32, update="gradient", dead_share=0.0, count_use=False
        )
        return HiFiCodecConfig(
            strides=(2, 5),
            kernel_sizes=(4, 11),
            num_filters=8,
            decoder_dim=16,
            stacks=(
                ResidualStackConfig(kernel_size=3, dilations=(1, 2)),
                ResidualStackConfig(kernel_size=5, dilations=(1,), double=False),
            ),
            level=GroupedQuantizerConfig(group=group),
        )
