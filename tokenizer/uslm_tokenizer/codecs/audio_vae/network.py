"""Causal convolutions of AudioVAE: DAC's blocks (Kumar et al. 2023), each channel by itself.

encoder  conv 7, then per stride: 3 units, Snake, conv 2 s; mean and variance by conv 3
decoder  conv 7, conv 1, then per stride: Snake, transposed conv 2 s, 3 units; Snake, conv 7
"""

from collections.abc import Sequence
from typing import Any, cast

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from uslm_tokenizer.nn.activations import Snake
from uslm_tokenizer.nn.conv import Conv1d, ConvTranspose1d
from uslm_tokenizer.nn.dac import DILATIONS
from uslm_tokenizer.nn.seanet import ResidualUnit, SEANet


def causal_conv(in_dim: int, out_dim: int, kernel_size: int, **more: Any) -> Conv1d:
    """A weight-normalised convolution that sees what was before, and zeros before the beginning."""
    return Conv1d(in_dim, out_dim, kernel_size, causal=True, padding="zeros", **more)


class DepthwiseUnit(ResidualUnit):
    """Snake, a convolution within each channel, Snake, one across channels; added to its input."""

    def __init__(self, dim: int, dilation: int, *, depthwise: bool) -> None:
        nn.Module.__init__(self)
        groups = dim if depthwise else 1
        self.layers = nn.Sequential(
            Snake(dim), causal_conv(dim, dim, 7, dilation=dilation, groups=groups),
            Snake(dim), causal_conv(dim, dim, 1),
        )  # fmt: skip
        self.shortcut = nn.Identity()


class Delay(nn.Module):
    """One sample later."""

    def forward(self, x: Float[Tensor, "b c n"]) -> Float[Tensor, "b c n"]:
        return F.pad(x, (1, -1))


class AudioVAEEncoder(SEANet):
    """Waveform of whole hops to mean and log variance of the latents, [b, 2 d, t]."""

    def __init__(
        self, dim: int, strides: Sequence[int], latent_dim: int, *, depthwise: bool
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [causal_conv(1, dim, 7)]
        for stride in strides:
            layers += [DepthwiseUnit(dim, dilation, depthwise=depthwise) for dilation in DILATIONS]
            layers.append(Snake(dim))
            # The published padding of an odd stride is one sample more than its overlap.
            layers += [Delay()] * (stride % 2)
            layers.append(causal_conv(dim, 2 * dim, 2 * stride, stride=stride))
            dim *= 2
        self.layers = nn.Sequential(*layers)
        self.to_mean = causal_conv(dim, latent_dim, 3)
        self.to_log_variance = causal_conv(dim, latent_dim, 3)

    def posterior(
        self, waveform: Float[Tensor, "b 1 n"]
    ) -> tuple[Float[Tensor, "b d t"], Float[Tensor, "b d t"]]:
        """Mean and log variance."""
        hidden = self(waveform)
        return cast(Tensor, self.to_mean(hidden)), cast(Tensor, self.to_log_variance(hidden))


class AudioVAEDecoder(SEANet):
    """Latents to waveform: a hop of samples for each frame."""

    def __init__(
        self, latent_dim: int, dim: int, strides: Sequence[int], *, depthwise: bool
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [causal_conv(latent_dim, dim, 7)]
        if depthwise:
            layers = [
                causal_conv(latent_dim, latent_dim, 7, groups=latent_dim),
                causal_conv(latent_dim, dim, 1),
            ]
        for stride in strides:
            layers += [
                Snake(dim),
                ConvTranspose1d(dim, dim // 2, 2 * stride, stride=stride, causal=True),
            ]
            dim //= 2
            layers += [DepthwiseUnit(dim, dilation, depthwise=depthwise) for dilation in DILATIONS]
        layers += [Snake(dim), causal_conv(dim, 1, 7), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
