"""Mimi's quantizer: a semantic and an acoustic residual stack that see the same latents.

    latents -> in -> semantic levels -> out -> +  quantized
            -> in -> acoustic levels -> out -> +

Defossez et al. 2024, section 3.3.4. Each stack works in a narrower space of its own.
"""

from dataclasses import dataclass, field
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.base import Quantized, Quantizer
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig


@dataclass(frozen=True, kw_only=True)
class MimiQuantizerConfig:
    """Sizes of a MimiQuantizer; the defaults are the published ones."""

    level: VectorQuantizerConfig = field(
        default_factory=lambda: VectorQuantizerConfig(dim=256, codebook_size=2048, dead_share=0.1)
    )
    """One codebook. Where its `dim` is that of the latents, nothing is projected."""
    num_levels: int = 32
    """Codebooks in all."""
    num_semantic: int = 1
    """How many of them, from the first, are the semantic stack."""
    dropout: float = 0.5
    """Share of the rows of a training batch that use only the first few acoustic levels."""
    unquantized_share: float = 0.0
    """Share of the rows of a training batch whose latents pass as they are; Mimi had 0.5."""

    def __post_init__(self) -> None:
        if not 1 <= self.num_semantic < self.num_levels:
            raise ConfigError(
                f"num_semantic must be from 1 to {self.num_levels - 1}, one less than num_levels, "
                f"but is {self.num_semantic}"
            )
        for name in ("dropout", "unquantized_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be in [0, 1], but is {getattr(self, name)}")


class ProjectedStack(nn.Module):
    """A residual stack in a space of its own."""

    def __init__(self, dim: int, config: ResidualQuantizerConfig) -> None:
        super().__init__()
        inner = config.levels[0].dim
        same = inner == dim
        self.into = nn.Identity() if same else nn.Conv1d(dim, inner, 1, bias=False)
        self.stack = ResidualQuantizer(config)
        self.out = nn.Identity() if same else nn.Conv1d(inner, dim, 1, bias=False)

    def forward(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None,
        generator: torch.Generator | None,
    ) -> Quantized:
        made = self.stack(self.into(latents), mask, generator=generator)
        made.latents = self.out(made.latents)
        made.levels = tuple(self.out(level) for level in made.levels)
        return cast(Quantized, made)

    def encode(self, latents: Float[Tensor, "b d t"], count: int) -> Int[Tensor, "b k t"]:
        return self.stack.encode(self.into(latents), count)

    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b d t"]:
        return cast(Tensor, self.out(self.stack.decode(codes)))


class MimiQuantizer(Quantizer):
    """Codes of the semantic levels, then of the acoustic ones; what they stand for adds up."""

    identity_gradient = False  # it passes through the projections

    def __init__(self, dim: int, config: MimiQuantizerConfig) -> None:
        """`dim` is the width of the latents."""
        super().__init__()
        self.config = config
        acoustic = (config.level,) * (config.num_levels - config.num_semantic)
        semantic = (config.level,) * config.num_semantic
        self.semantic = ProjectedStack(dim, ResidualQuantizerConfig(levels=semantic, dropout=0.0))
        self.acoustic = ProjectedStack(
            dim, ResidualQuantizerConfig(levels=acoustic, dropout=config.dropout)
        )

    @property
    def num_codebooks(self) -> int:
        return self.config.num_levels

    @property
    def codebook_size(self) -> int:
        return self.config.level.codebook_size

    def forward(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Quantized:
        """The losses are means over all levels."""
        parts = [part(latents, mask, generator) for part in (self.semantic, self.acoustic)]
        total = parts[0].latents + parts[1].latents
        if self.training and self.config.unquantized_share:
            device = None if generator is None else generator.device
            drawn = torch.rand(len(latents), generator=generator, device=device).to(latents.device)
            passes = drawn < self.config.unquantized_share
            total = torch.where(passes[:, None, None], latents, total)
        share = self.config.num_semantic / self.config.num_levels
        losses = [
            torch.stack([part.loss, part.commitment, part.codebook]) * weight
            for part, weight in zip(parts, (share, 1 - share), strict=True)
        ]
        loss, commitment, codebook = losses[0] + losses[1]
        codes = torch.cat([part.codes for part in parts], dim=1)
        levels = parts[0].levels + parts[1].levels
        return Quantized(total, codes, loss, commitment.detach(), codebook.detach(), levels)

    def encode(
        self, latents: Float[Tensor, "b d t"], num_quantizers: int | None = None
    ) -> Int[Tensor, "b k t"]:
        """The codes of the first `num_quantizers` levels, or of all."""
        count = self.config.num_levels if num_quantizers is None else num_quantizers
        first = min(count, self.config.num_semantic)
        codes = self.semantic.encode(latents, first)
        if count == first:
            return codes
        return torch.cat([codes, self.acoustic.encode(latents, count - first)], dim=1)

    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b d t"]:
        """The codes may end before the last level."""
        first = self.config.num_semantic
        total = self.semantic.decode(codes[:, :first])
        if codes.shape[1] > first:
            total = total + self.acoustic.decode(codes[:, first:])
        return total

    @torch.no_grad()
    def initialize(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        for part in (self.semantic, self.acoustic):
            part.stack.initialize(part.into(latents), mask, generator=generator)
