"""Finite scalar quantization (Mentzer et al. 2023): round each channel, learn no codebook.

The digits of a frame, one a channel, make its code as in a clock: the first channel counts fastest.
With levels (8, 5, 5, 5):

    digits (d0, d1, d2, d3)  ->  d0 + 8 d1 + 8 * 5 d2 + 8 * 5 * 5 d3      from 0 to 999
"""

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.base import (
    Quantized,
    Quantizer,
    flatten_frames,
    full_precision,
    straight_through,
)


@dataclass(frozen=True, kw_only=True)
class FiniteScalarQuantizerConfig:
    levels: tuple[int, ...] = (8, 5, 5, 5)
    """How many values each channel may take; as many channels as numbers."""

    def __post_init__(self) -> None:
        if not self.levels or min(self.levels) < 2:
            raise ConfigError(f"levels must be numbers of at least 2, but are {self.levels}")

    @property
    def dim(self) -> int:
        """Width of the latents."""
        return len(self.levels)

    @property
    def codebook_size(self) -> int:
        """Codes that there are."""
        return math.prod(self.levels)

    @property
    def num_codebooks(self) -> int:
        """Codes of one frame."""
        return 1


class FiniteScalarQuantizer(Quantizer):
    """Each channel is squashed into its range and rounded; the values lie in [-1, 1]."""

    identity_gradient = False  # it shrinks where the squashing saturates
    learns = False
    levels: Tensor
    strides: Tensor

    def __init__(self, config: FiniteScalarQuantizerConfig) -> None:
        super().__init__()
        self.config = config
        levels = torch.tensor(config.levels)
        strides = torch.cat([torch.ones_like(levels[:1]), levels.cumprod(0)[:-1]])
        self.register_buffer("levels", levels, persistent=False)
        self.register_buffer("strides", strides, persistent=False)

    @property
    def num_codebooks(self) -> int:
        return 1

    @property
    def codebook_size(self) -> int:
        return self.config.codebook_size

    def forward(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Quantized:
        with full_precision(latents):
            squashed = self._squash(flatten_frames(latents))
            digits = squashed.detach().round().long()
            values = straight_through(self._scale(squashed), self._scale(digits))
        b = len(latents)
        zero = values.new_zeros(())
        return Quantized(
            rearrange(values, "(b t) d -> b d t", b=b).to(latents.dtype),
            rearrange(self.digits_to_codes(digits), "(b t) -> b 1 t", b=b),
            zero,
            zero,
            zero,
        )

    def encode(self, latents: Float[Tensor, "b d t"]) -> Int[Tensor, "b k t"]:
        with full_precision(latents):
            digits = self._squash(flatten_frames(latents.detach())).round().long()
        return rearrange(self.digits_to_codes(digits), "(b t) -> b 1 t", b=len(latents))

    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b d t"]:
        return rearrange(self._scale(self.codes_to_digits(codes[:, 0])), "b t d -> b d t")

    def digits_to_codes(self, digits: Int[Tensor, "*n d"]) -> Int[Tensor, "*n"]:
        """One number for the digits of all channels."""
        return (digits * self.strides).sum(-1)

    def codes_to_digits(self, codes: Int[Tensor, "*n"]) -> Int[Tensor, "*n d"]:
        """The digits, channel i's in [0, levels[i])."""
        return codes[..., None] // self.strides % self.levels

    def _squash(self, frames: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Each channel into the range that rounds to its digits.

        An even number of levels has none in the middle: there zero lies at the digit above it, and
        the shift keeps zero in at zero out.
        """
        half = (self.levels - 1) * (1 + 1e-3) / 2
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0)
        shift = (offset / half).atanh()
        return (frames + shift).tanh() * half - offset + self.levels // 2

    def _scale(self, digits: Tensor) -> Float[Tensor, "*n d"]:
        """Digits to values in [-1, 1]."""
        middle = self.levels // 2
        return (digits - middle) / middle
