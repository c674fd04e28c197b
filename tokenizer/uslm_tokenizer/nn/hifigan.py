"""HiFi-GAN (Kong et al. 2020): latents to waveform through stacks of many kernel sizes at once."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from uslm_tokenizer.errors import ConfigError

SLOPE = 0.1
"""Of the leaky rectifiers. (The last one of the original HiFi-GAN has 0.01.)"""


@dataclass(frozen=True, kw_only=True)
class ResidualStackConfig:
    kernel_size: int
    """Samples that each convolution sees; odd."""
    dilations: tuple[int, ...] = (1, 3, 5)
    """Of the convolutions, one after another."""
    double: bool = True
    """Behind each dilated convolution comes another, undilated ("resblock 1")."""

    def __post_init__(self) -> None:
        if self.kernel_size % 2 == 0:
            raise ConfigError(f"kernel_size must be odd, but is {self.kernel_size}")

    @property
    def reach(self) -> int:
        """Samples to each side that an output depends on."""
        plain = len(self.dilations) if self.double else 0
        return self.kernel_size // 2 * (sum(self.dilations) + plain)


class ResidualStack(nn.Module):
    """Dilated convolutions, the output of each added to its input."""

    def __init__(self, channels: int, config: ResidualStackConfig) -> None:
        super().__init__()

        def convolutions(dilations: tuple[int, ...]) -> nn.ModuleList:
            return nn.ModuleList(
                weight_norm(
                    nn.Conv1d(
                        channels, channels, config.kernel_size,
                        dilation=dilation, padding=config.kernel_size // 2 * dilation,
                    )
                )
                for dilation in dilations
            )  # fmt: skip

        self.dilated = convolutions(config.dilations)
        self.plain = convolutions((1,) * len(config.dilations)) if config.double else None

    def forward(self, x: Float[Tensor, "b c n"]) -> Float[Tensor, "b c n"]:
        for i, convolution in enumerate(self.dilated):
            y = convolution(F.leaky_relu(x, SLOPE))
            if self.plain is not None:
                y = self.plain[i](F.leaky_relu(y, SLOPE))
            x = x + y
        return x


class HiFiGAN(nn.Module):
    """Transposed convolutions, and after each the mean of several stacks; a hop for each frame.

    `kernel_sizes` are those of the transposed convolutions; each must exceed its stride by an even
    number.
    """

    def __init__(
        self,
        in_dim: int,
        dim: int,
        strides: tuple[int, ...],
        kernel_sizes: tuple[int, ...],
        stacks: tuple[ResidualStackConfig, ...],
    ) -> None:
        super().__init__()
        self.num_stacks = len(stacks)
        self.context_frames = _context_frames(strides, kernel_sizes, stacks)
        """Frames to each side that the samples of a frame depend on."""
        self.input = weight_norm(nn.Conv1d(in_dim, dim, 7, padding=3))
        self.upsamples, self.stacks = nn.ModuleList(), nn.ModuleList()
        for stride, kernel_size in zip(strides, kernel_sizes, strict=True):
            convolution = nn.ConvTranspose1d(
                dim, dim // 2, kernel_size, stride, padding=(kernel_size - stride) // 2
            )
            self.upsamples.append(weight_norm(convolution))
            dim //= 2
            self.stacks.extend(ResidualStack(dim, stack) for stack in stacks)
        self.output = weight_norm(nn.Conv1d(dim, 1, 7, padding=3))

    def forward(self, latents: Float[Tensor, "b d t"]) -> Float[Tensor, "b 1 n"]:
        x = self.input(latents)
        for i, upsample in enumerate(self.upsamples):
            x = upsample(F.leaky_relu(x, SLOPE))
            total = torch.zeros_like(x)
            for stack in self.stacks[i * self.num_stacks : (i + 1) * self.num_stacks]:
                total = total + stack(x)
            x = total / self.num_stacks
        return torch.tanh(self.output(F.leaky_relu(x, SLOPE)))


def _context_frames(
    strides: tuple[int, ...],
    kernel_sizes: tuple[int, ...],
    stacks: tuple[ResidualStackConfig, ...],
) -> int:
    """Back from the output: how far a frame of each stage's input reaches to each side."""
    reach = 3  # of the last convolution
    for stride, kernel_size in zip(reversed(strides), reversed(kernel_sizes), strict=True):
        reach += max(stack.reach for stack in stacks)
        reach = (reach + (kernel_size - stride) // 2 + stride - 1) // stride
    return reach + 3  # of the first
