"""Residual vector quantization: every level codes what the levels before it left over."""

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.base import Quantized, Quantizer, straight_through
from uslm_tokenizer.quantize.factorized import FactorizedQuantizer, FactorizedQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizer, VectorQuantizerConfig


@dataclass(frozen=True, kw_only=True)
class ResidualQuantizerConfig:
    levels: tuple[VectorQuantizerConfig | FactorizedQuantizerConfig, ...]
    """The quantizer of each level, from coarse to fine; all of one `dim` and `codebook_size`."""
    dropout: float = 0.5
    """Share of the rows of a training batch that use only their first few levels."""
    min_levels: int = 1
    """The fewest levels that such a row uses; the number is drawn evenly from here to all."""

    def __post_init__(self) -> None:
        if len({(level.dim, level.codebook_size) for level in self.levels}) != 1:
            raise ConfigError(
                "levels must be one or more quantizers of equal dim and codebook_size, but are "
                f"{[(level.dim, level.codebook_size) for level in self.levels]}"
            )
        if not 1 <= self.min_levels <= len(self.levels):
            raise ConfigError(
                f"min_levels must be from 1 to {len(self.levels)}, but is {self.min_levels}"
            )
        if not 0 <= self.dropout <= 1:
            raise ConfigError(f"dropout must be in [0, 1], but is {self.dropout}")


class ResidualQuantizer(Quantizer):
    """A stack of quantizers.

    The residual is taken from the *detached* output of each level. Subtracting the straight-through
    output instead, as EnCodec and its descendants do, cancels the gradient: no commitment loss but
    the first level's would reach the encoder.
    """

    def __init__(self, config: ResidualQuantizerConfig) -> None:
        super().__init__()
        self.config = config
        self.levels = nn.ModuleList(_build_level(level) for level in config.levels)
        self.identity_gradient = all(level.identity_gradient for level in self._first())

    @property
    def num_codebooks(self) -> int:
        return len(self.levels)

    @property
    def codebook_size(self) -> int:
        return self.config.levels[0].codebook_size

    def forward(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
        num_quantizers: int | None = None,
    ) -> Quantized:
        """In training mode some rows drop their last levels, unless `num_quantizers` is given.

        A dropped level adds nothing to the row's latents and learns nothing from the row; its codes
        are given all the same. The losses are means over all pairs of frame and used level.
        """
        if mask is None:
            mask = torch.ones_like(latents[:, 0], dtype=torch.bool)
        depth = self._draw_depth(latents, num_quantizers, generator)
        residual = latents.float()
        total = torch.zeros_like(residual)
        codes: list[Tensor] = []
        losses: list[Tensor] = []
        frames_used: list[Tensor] = []
        for index, level in enumerate(self._first(num_quantizers)):
            row_used = index < depth
            frame_used = mask & row_used[:, None]
            quantized: Quantized = level(residual, frame_used, generator=generator)
            total = total + quantized.latents * row_used[:, None, None]
            residual = residual - quantized.latents.detach()
            codes.append(quantized.codes)
            losses.append(torch.stack([quantized.loss, quantized.commitment, quantized.codebook]))
            frames_used.append(frame_used.sum())
        if self.identity_gradient:
            # Every level hands the gradient on: without this it would come out multiplied.
            total = straight_through(latents.float(), total)
        share = torch.stack(frames_used) / torch.stack(frames_used).sum().clamp(min=1)
        loss, commitment, codebook = (share[:, None] * torch.stack(losses)).sum(0)
        latents = total.to(latents.dtype)
        return Quantized(latents, torch.cat(codes, 1), loss, commitment.detach(), codebook.detach())

    def encode(
        self, latents: Float[Tensor, "b d t"], num_quantizers: int | None = None
    ) -> Int[Tensor, "b k t"]:
        """The codes of the first `num_quantizers` levels, or of all."""
        residual, codes = latents.detach().float(), []
        for level in self._first(num_quantizers):
            codes.append(level.encode(residual))
            residual = residual - level.decode(codes[-1]).detach()
        return torch.cat(codes, 1)

    def decode(
        self, codes: Int[Tensor, "b k t"], num_quantizers: int | None = None
    ) -> Float[Tensor, "b d t"]:
        """The sum of the levels in `codes`, which may be the first few, or of `num_quantizers`."""
        count = codes.shape[1] if num_quantizers is None else num_quantizers
        if count > codes.shape[1]:
            raise ValueError(
                f"num_quantizers must be at most {codes.shape[1]}, the levels given, but is {count}"
            )
        levels = self._first(count)
        total = levels[0].decode(codes[:, :1])
        for index, level in enumerate(levels[1:], start=1):
            total = total + level.decode(codes[:, index : index + 1])
        return total

    @torch.no_grad()
    def initialize(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        residual = latents.float()
        for level in self._first():
            level.initialize(residual, mask, generator=generator)
            residual = residual - level.decode(level.encode(residual))

    def _first(self, num_quantizers: int | None = None) -> list[Quantizer]:
        if num_quantizers is None:
            num_quantizers = len(self.levels)
        if not 1 <= num_quantizers <= len(self.levels):
            raise ValueError(
                f"num_quantizers must be from 1 to {len(self.levels)}, but is {num_quantizers}"
            )
        return [cast(Quantizer, level) for level in self.levels[:num_quantizers]]

    def _draw_depth(
        self,
        latents: Float[Tensor, "b d t"],
        num_quantizers: int | None,
        generator: torch.Generator | None,
    ) -> Int[Tensor, " b"]:
        """How many levels each row uses."""
        b, all_levels = len(latents), len(self.levels)
        depth = torch.full((b,), num_quantizers or all_levels)
        if self.training and num_quantizers is None and self.config.dropout > 0:
            device = None if generator is None else generator.device
            dropped = torch.rand(b, generator=generator, device=device) < self.config.dropout
            drawn = torch.randint(
                self.config.min_levels, all_levels + 1, (b,), generator=generator, device=device
            )
            depth = torch.where(dropped, drawn, all_levels)
        return depth.to(latents.device)


def _build_level(config: VectorQuantizerConfig) -> Quantizer:
    if isinstance(config, FactorizedQuantizerConfig):
        return FactorizedQuantizer(config)
    return VectorQuantizer(config)
