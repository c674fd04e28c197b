"""Vocos (Siuzdak 2023): from frames of features to a waveform by way of its spectrum.

The decoder of MaskGCT's codec and Vevo, of Language-Codec, and of WavTokenizer, which adds the
position net.
"""

from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.convnext import ConvNeXt
from uslm_tokenizer.nn.spectral import InverseSTFT

GROUPS = 32  # of channels that are normalised together in the position net


@dataclass(frozen=True, kw_only=True)
class VocosConfig:
    """Sizes of a Vocos."""

    in_dim: int
    """Width of the features."""
    dim: int
    """Width of the network."""
    hidden_dim: int
    """Width inside each ConvNeXt block."""
    num_layers: int
    """ConvNeXt blocks."""
    n_fft: int
    """Window of the inverse STFT, samples."""
    hop_length: int
    """Samples that one frame of features gives."""
    num_conditions: int = 0
    """Conditions, such as bit rates, that the norms depend on; 0: plain norms."""
    position_net: bool = False
    """Whether residual blocks and an attention over all frames come before the blocks."""

    def __post_init__(self) -> None:
        if self.position_net and (self.dim % GROUPS or self.dim <= GROUPS):
            # A group of one channel has no variance to divide a lone frame by.
            raise ConfigError(
                f"dim must be a multiple of {GROUPS} above {GROUPS}, but is {self.dim}"
            )
        if self.n_fft % 2 or self.n_fft < self.hop_length:
            raise ConfigError(
                f"n_fft must be even and at least the hop of {self.hop_length}, but is {self.n_fft}"
            )


class Vocos(nn.Module):
    """Features [b, d, t] to a waveform of t * hop_length samples."""

    def __init__(self, config: VocosConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = ConvNeXt(
            config.in_dim,
            config.dim,
            config.hidden_dim,
            config.num_layers,
            num_conditions=config.num_conditions,
            position_net=PositionNet(config.dim) if config.position_net else None,
        )
        self.head = nn.Linear(config.dim, config.n_fft + 2)
        self.inverse_stft = InverseSTFT(config.n_fft, config.hop_length)

    @property
    def context_frames(self) -> int | None:
        """Frames to each side that the samples of a frame depend on; None: on all."""
        if self.config.position_net:
            return None
        overlap = -(-self.config.n_fft // (2 * self.config.hop_length))
        return self.backbone.context_frames + overlap

    def forward(
        self, features: Float[Tensor, "b d t"], condition: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b 1 n"]:
        """`condition` is needed where the config has `num_conditions`."""
        return self.inverse_stft.from_log_polar(self.head(self.hidden(features, condition)))

    def hidden(
        self, features: Float[Tensor, "b d t"], condition: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b t d_hidden"]:
        """Hidden states that the head makes the spectrum from."""
        return cast(Tensor, self.backbone(features.transpose(1, 2), condition=condition))


class PositionNet(nn.Sequential):
    """Two residual blocks, attention over all frames, two residual blocks and a norm."""

    def __init__(self, dim: int) -> None:
        super().__init__(
            ResidualBlock(dim),
            ResidualBlock(dim),
            FrameAttention(dim),
            ResidualBlock(dim),
            ResidualBlock(dim),
            _group_norm(dim),
        )


class ResidualBlock(nn.Module):
    """Norm, swish and a convolution over 3 frames, twice, added back."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _group_norm(dim), _group_norm(dim)
        self.conv1 = nn.Conv1d(dim, dim, 3, padding=1)
        self.conv2 = nn.Conv1d(dim, dim, 3, padding=1)

    def forward(self, x: Float[Tensor, "b d t"]) -> Float[Tensor, "b d t"]:
        y = self.conv1(F.silu(self.norm1(x)))
        mixed: Tensor = x + self.conv2(F.silu(self.norm2(y)))
        return mixed


class FrameAttention(nn.Module):
    """Attention of one head over all frames, without positions: the convolutions around tell."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = _group_norm(dim)
        self.query, self.key = nn.Conv1d(dim, dim, 1), nn.Conv1d(dim, dim, 1)
        self.value, self.out = nn.Conv1d(dim, dim, 1), nn.Conv1d(dim, dim, 1)

    def forward(self, x: Float[Tensor, "b d t"]) -> Float[Tensor, "b d t"]:
        y = self.norm(x)
        q, k, v = (part(y).transpose(1, 2) for part in (self.query, self.key, self.value))
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        mixed: Tensor = x + self.out(y)
        return mixed


def _group_norm(dim: int) -> nn.GroupNorm:
    return nn.GroupNorm(GROUPS, dim, eps=1e-6)
