"""Vevo's content tokenizer: features of HuBERT-large -> 32 units that say what is spoken.

    features -> convolutions -> projection -> codebook -> convolutions -> features

The network is RepCodec's (Huang et al. 2024); the codebook is made so small that neither voice nor
manner of speaking fits through (Vevo, Zhang et al. 2025, section 3.2). With consecutive repeats
dropped (`sequence.dedup`), the pace is gone as well. It reads the output of block 18 as it is;
Vevo's other tokenizer, of content and style, is a `RepCodec`.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.quantize.base import Quantized
from uslm_tokenizer.quantize.build import QuantizerConfig, build_quantizer
from uslm_tokenizer.quantize.rvq import ResidualQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig


@dataclass(frozen=True, kw_only=True)
class ConvStackConfig:
    """The encoder, or the decoder."""

    dim: int = 1024
    """Channels, times the ratio of a block."""
    kernel_size: int = 3
    """Frames that the outermost convolutions see."""
    ratios: tuple[float, ...] = (1.0, 1.0)
    """Of the width of each block to `dim`."""
    strides: tuple[int, ...] = (1, 1)
    """Frames that each block makes one of, or one into."""
    dilations: tuple[int, ...] = (1, 1)
    """Spacing inside each residual unit of a block."""
    unit_kernel_size: int = 3
    """Frames that a residual unit sees."""
    bias: bool = True
    """Whether the convolution of each block has a bias; no other has."""

    def __post_init__(self) -> None:
        if len(self.ratios) != len(self.strides) or not self.ratios:
            raise ConfigError(
                "ratios and strides must be one each for every block, "
                f"but are {self.ratios} and {self.strides}"
            )
        for name in ("kernel_size", "unit_kernel_size"):
            if getattr(self, name) % 2 == 0:
                raise ConfigError(f"{name} must be odd, but is {getattr(self, name)}")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each block."""
        return tuple(int(self.dim * ratio) for ratio in self.ratios)


@dataclass(frozen=True, kw_only=True)
class VevoContentConfig:
    """Sizes of a VevoContentTokenizer."""

    dim: int = 1024
    """Width of the features that are read."""
    output_dim: int = 1024
    """Width of the features that are given back."""
    encoder: ConvStackConfig = field(default_factory=ConvStackConfig)
    """Before the codebook."""
    decoder: ConvStackConfig = field(default_factory=ConvStackConfig)
    """Behind it."""
    quantizer: QuantizerConfig = field(
        default_factory=lambda: ResidualQuantizerConfig(
            levels=(VectorQuantizerConfig(dim=1024, codebook_size=32, decay=0.8, dead_share=0.0),),
            dropout=0.0,
        )
    )
    """The codebook, of any kind; RepCodec allows for more than one."""
    feature_weight: float = 45.0
    """Weight of the features' mean squared error in the training loss, beside that of the codebook:
    RepCodec's own training has 45 and 1 (mct10/RepCodec, train_configs/ex_dim768_mse.yaml). What
    Vevo's content tokenizer was trained with is not published."""

    @property
    def code_dim(self) -> int:
        """Width of the codes."""
        return self.quantizer.dim


@dataclass
class ContentReconstruction:
    """Reconstruction that training compares with the features."""

    features: Float[Tensor, "b t e"]
    quantized: Quantized
    """`quantized.loss` is the commitment, the mean over the codebooks."""
    perplexity: Float[Tensor, " k"]
    """How many codes each codebook uses, as if they were used evenly."""
    loss: Float[Tensor, ""]
    """Mean squared error of the features and the commitment, in their weights."""


class VevoContentTokenizer(PretrainedModel):
    """Features [b, t, d] <-> codes [b, k, t]; published with one codebook, so k = 1."""

    model_type: ClassVar[str] = "vevo_content"
    config_class: ClassVar[type] = VevoContentConfig
    config: VevoContentConfig

    def __init__(self, config: VevoContentConfig) -> None:
        super().__init__(config)
        self.encoder = ConvEncoder(config.dim, config.encoder)
        last = config.encoder.widths[-1]
        self.projection = _conv(last, config.code_dim, 3, bias=False)
        self.quantizer = build_quantizer(config.quantizer)
        self.decoder = ConvDecoder(config.code_dim, config.output_dim, config.decoder)

    @classmethod
    def tiny_config(cls) -> VevoContentConfig:
        """A config that builds in milliseconds, for tests and examples."""
        level = VectorQuantizerConfig(dim=12, codebook_size=8, decay=0.8, dead_share=0.0)
        return VevoContentConfig(
            dim=16,
            output_dim=16,
            encoder=ConvStackConfig(dim=16),
            decoder=ConvStackConfig(dim=16),
            quantizer=ResidualQuantizerConfig(levels=(level,), dropout=0.0),
        )

    @property
    def dim(self) -> int:
        """Width of the features."""
        return self.config.dim

    @property
    def num_codebooks(self) -> int:
        """Codes in one frame."""
        return self.quantizer.num_codebooks

    @property
    def codebook_size(self) -> int:
        """Entries of each codebook; codes lie in [0, codebook_size)."""
        return self.quantizer.codebook_size

    def latents(self, features: Float[Tensor, "b t d"]) -> Float[Tensor, "b e frames"]:
        """Latents that are quantised; as many frames as are read, unless the config strides."""
        projected: Tensor = self.projection(self.encoder(features.transpose(1, 2)))
        return projected

    @torch.no_grad()
    def encode(
        self, features: Float[Tensor, "b t d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b k frames"]:
        """Codes of each row, which do not depend on the rows beside it; those of padding are 0.

        `lengths` are the true frames of each row. Rows of unequal length are encoded one by one:
        the convolutions would see the padding.
        """
        if lengths is None or bool((lengths == features.shape[1]).all()):
            return self.quantizer.encode(self.latents(features))
        rows = zip(features, lengths.tolist(), strict=True)
        codes = [self.quantizer.encode(self.latents(row[None, :end]))[0].T for row, end in rows]
        return nn.utils.rnn.pad_sequence(codes, batch_first=True).transpose(1, 2)

    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "b k frames"]) -> Float[Tensor, "b t e"]:
        """The features that the codes stand for."""
        decoded: Tensor = self.decoder(self.quantizer.decode(codes))
        return decoded.transpose(1, 2)

    def forward(
        self, features: Float[Tensor, "b t d"], generator: torch.Generator | None = None
    ) -> ContentReconstruction:
        """One training pass over whole rows; `generator` draws the frames that dead codes are reset
        to."""
        quantized = self.quantizer(self.latents(features), generator=generator)
        restored = self.decoder(quantized.latents).transpose(1, 2)
        perplexity = _perplexity(quantized.codes, self.codebook_size)
        t = min(restored.shape[1], features.shape[1])  # strides may leave some frames over
        error = F.mse_loss(restored[:, :t].float(), features[:, :t].float())
        loss = self.config.feature_weight * error + quantized.loss
        return ContentReconstruction(restored, quantized, perplexity, loss)


class ResidualUnit(nn.Module):
    """A convolution of near frames, then a mix of channels, added back."""

    def __init__(self, dim: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.near = _conv(dim, dim, kernel_size, dilation=dilation, bias=False)
        self.mix = nn.Conv1d(dim, dim, 1, bias=False)

    def forward(self, x: Float[Tensor, "b d t"]) -> Float[Tensor, "b d t"]:
        mixed: Tensor = x + self.mix(F.elu(self.near(F.elu(x))))
        return mixed


class EncoderBlock(nn.Module):
    """Residual units, then a convolution that may shorten."""

    def __init__(self, dim: int, out_dim: int, stride: int, config: ConvStackConfig) -> None:
        super().__init__()
        self.units = _units(dim, config)
        size = 3 if stride == 1 else 2 * stride
        self.conv = _conv(dim, out_dim, size, stride=stride, bias=config.bias)

    def forward(self, x: Float[Tensor, "b d t"]) -> Float[Tensor, "b e s"]:
        shortened: Tensor = self.conv(self.units(x))
        return shortened


class DecoderBlock(nn.Module):
    """A convolution that may lengthen, then residual units."""

    def __init__(self, dim: int, out_dim: int, stride: int, config: ConvStackConfig) -> None:
        super().__init__()
        self.conv = _conv(dim, out_dim, 3, bias=config.bias)
        if stride > 1:
            self.conv = nn.ConvTranspose1d(
                dim, out_dim, 2 * stride, stride=stride, padding=(stride + 1) // 2,
                output_padding=stride % 2, bias=config.bias,
            )  # fmt: skip
        self.units = _units(out_dim, config)

    def forward(self, x: Float[Tensor, "b d t"]) -> Float[Tensor, "b e s"]:
        refined: Tensor = self.units(self.conv(x))
        return refined


class ConvEncoder(nn.Module):
    """A convolution, then the blocks."""

    def __init__(self, in_dim: int, config: ConvStackConfig) -> None:
        super().__init__()
        self.input = _conv(in_dim, config.dim, config.kernel_size, bias=False)
        steps = zip((config.dim, *config.widths), config.widths, config.strides, strict=False)
        self.blocks = nn.Sequential(*(EncoderBlock(*step, config) for step in steps))

    def forward(self, x: Float[Tensor, "b d t"]) -> Float[Tensor, "b e s"]:
        encoded: Tensor = self.blocks(self.input(x))
        return encoded


class ConvDecoder(nn.Module):
    """A convolution, the blocks, a convolution."""

    def __init__(self, in_dim: int, out_dim: int, config: ConvStackConfig) -> None:
        super().__init__()
        self.input = _conv(in_dim, config.widths[0], config.kernel_size, bias=False)
        steps = zip(config.widths, (*config.widths[1:], config.dim), config.strides, strict=True)
        self.blocks = nn.Sequential(*(DecoderBlock(*step, config) for step in steps))
        self.output = _conv(config.dim, out_dim, config.kernel_size, bias=False)

    def forward(self, x: Float[Tensor, "b d t"]) -> Float[Tensor, "b e s"]:
        decoded: Tensor = self.output(self.blocks(self.input(x)))
        return decoded


def _units(dim: int, config: ConvStackConfig) -> nn.Sequential:
    size = config.unit_kernel_size
    return nn.Sequential(*(ResidualUnit(dim, size, dilation) for dilation in config.dilations))


def _conv(
    in_dim: int, out_dim: int, size: int, *, stride: int = 1, dilation: int = 1, bias: bool
) -> nn.Module:
    padding = (size - 1) // 2 * dilation
    return nn.Conv1d(
        in_dim, out_dim, size, stride=stride, padding=padding, dilation=dilation, bias=bias
    )


def _perplexity(codes: Int[Tensor, "b k t"], codebook_size: int) -> Float[Tensor, " k"]:
    share = F.one_hot(codes, codebook_size).float().mean(dim=(0, 2))
    entropy: Tensor = -torch.special.xlogy(share, share).sum(dim=1)
    return entropy.exp()
