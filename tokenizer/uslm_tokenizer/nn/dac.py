"""The encoder of the Descript Audio Codec (Kumar et al. 2023): Snake and strided convolutions."""

import math
from dataclasses import dataclass
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.activations import Snake

DILATIONS = (1, 3, 9)


@dataclass(frozen=True, kw_only=True)
class DacEncoderConfig:
    """Sizes of a DacEncoder."""

    num_channels: int
    """Channels at the full sample rate; each stride doubles them."""
    dim: int = 128
    """Width of the latents."""
    strides: tuple[int, ...] = (2, 4, 5, 8)
    """Down-sampling of each stage."""

    def __post_init__(self) -> None:
        if not self.strides or min(self.strides) < 1:
            raise ConfigError(f"strides must be one or more positive, but are {self.strides}")

    @property
    def hop_length(self) -> int:
        """Samples of one frame."""
        return math.prod(self.strides)

    @property
    def audio_channels(self) -> int:
        """Channels of the waveform: 1."""
        return 1


class DacEncoder(nn.Module):
    """Waveform [b, 1, n] to latents; a waveform of whole hops gives a frame for each.

    Of another length, the frames follow from the convolutions, as in the published code: pad
    before. The width doubles with each stride.
    """

    def __init__(self, dim: int, strides: tuple[int, ...], out_dim: int) -> None:
        super().__init__()
        self.hop_length = math.prod(strides)
        widths = [dim * 2**i for i in range(len(strides) + 1)]
        self.layers = nn.Sequential(
            _conv(1, dim, 7),
            *(DacBlock(widths[i], stride) for i, stride in enumerate(strides)),
            Snake(widths[-1]),
            _conv(widths[-1], out_dim, 3),
        )

    def forward(self, waveform: Float[Tensor, "b 1 n"]) -> Float[Tensor, "b d t"]:
        return cast(Tensor, self.layers(waveform))


class DacBlock(nn.Sequential):
    """Residual units, then a convolution that takes `stride` frames to one of twice the width."""

    def __init__(self, dim: int, stride: int) -> None:
        padding = (stride + 1) // 2
        down = nn.Conv1d(dim, 2 * dim, 2 * stride, stride=stride, padding=padding)
        units = (DacUnit(dim, dilation) for dilation in DILATIONS)
        super().__init__(*units, Snake(dim), weight_norm(down))


class DacUnit(nn.Module):
    """A convolution of frames at a distance of `dilation`, added to each frame."""

    def __init__(self, dim: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Snake(dim), _conv(dim, dim, 7, dilation), Snake(dim), _conv(dim, dim, 1)
        )

    def forward(self, x: Float[Tensor, "b c n"]) -> Float[Tensor, "b c n"]:
        mixed: Tensor = x + self.layers(x)
        return mixed


def _conv(in_dim: int, out_dim: int, kernel_size: int, dilation: int = 1) -> nn.Module:
    padding = (kernel_size - 1) // 2 * dilation
    conv = nn.Conv1d(in_dim, out_dim, kernel_size, dilation=dilation, padding=padding)
    normed: nn.Module = weight_norm(conv)
    return normed
