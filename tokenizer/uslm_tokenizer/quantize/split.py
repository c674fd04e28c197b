"""Split quantization of Mimi: a semantic codebook beside a residual stack, of the same latents.

Defossez et al. 2024 (Moshi), section 3.3. In a plain residual stack a first level that follows a
teacher leaves what it cannot hold to the levels above; here those above see the whole latents.

    latents -> semantic level ------------> +  quantized
            -> acoustic levels (residual) -> +
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.base import Quantized, Quantizer, straight_through
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig


@dataclass(frozen=True, kw_only=True)
class SplitQuantizerConfig:
    """Sizes of a SplitQuantizer."""

    semantic: ResidualQuantizerConfig
    """The levels that a teacher may shape: in Mimi one."""
    acoustic: ResidualQuantizerConfig
    """The levels beside them; of the same `dim` and `codebook_size`."""

    def __post_init__(self) -> None:
        sizes = [(part.dim, part.codebook_size) for part in (self.semantic, self.acoustic)]
        if sizes[0] != sizes[1]:
            raise ConfigError(
                "semantic and acoustic must have levels of equal dim and codebook_size, but have "
                f"{sizes[0]} and {sizes[1]}"
            )

    @property
    def dim(self) -> int:
        """Width of the latents."""
        return self.semantic.dim

    @property
    def codebook_size(self) -> int:
        """Entries of each codebook."""
        return self.semantic.codebook_size

    @property
    def num_codebooks(self) -> int:
        """Codes of one frame."""
        return self.semantic.num_codebooks + self.acoustic.num_codebooks


class SplitQuantizer(Quantizer):
    """Codes of the semantic levels, then those of the acoustic ones; their latents add up."""

    def __init__(self, config: SplitQuantizerConfig) -> None:
        super().__init__()
        self.config = config
        self.semantic = ResidualQuantizer(config.semantic)
        self.acoustic = ResidualQuantizer(config.acoustic)
        self.identity_gradient = self.semantic.identity_gradient and self.acoustic.identity_gradient
        self.learns = self.semantic.learns or self.acoustic.learns
        self.draws_codes = self.semantic.draws_codes or self.acoustic.draws_codes

    @property
    def num_codebooks(self) -> int:
        return self.semantic.num_codebooks + self.acoustic.num_codebooks

    @property
    def codebook_size(self) -> int:
        return self.semantic.codebook_size

    def forward(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Quantized:
        """The losses are means over both parts, each level counting once."""
        parts = [part(latents, mask, generator=generator) for part in self._parts]
        total = parts[0].latents + parts[1].latents
        if self.identity_gradient:  # each part hands the gradient on: together, twice
            total = straight_through(latents, total)
        counts = [part.num_codebooks / self.num_codebooks for part in self._parts]

        def mean(name: str) -> Tensor:
            pairs = zip(counts, parts, strict=True)
            return torch.stack([share * getattr(part, name) for share, part in pairs]).sum()

        return Quantized(
            total.to(latents.dtype),
            torch.cat([part.codes for part in parts], 1),
            mean("loss"),
            mean("commitment"),
            mean("codebook"),
            parts[0].levels + parts[1].levels,
        )

    def encode(self, latents: Float[Tensor, "b d t"]) -> Int[Tensor, "b k t"]:
        return torch.cat([part.encode(latents) for part in self._parts], 1)

    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b d t"]:
        """The codes may end before the last level, but not before the first."""
        count = self.semantic.num_codebooks
        total = self.semantic.decode(codes[:, :count])
        if codes.shape[1] > count:
            total = total + self.acoustic.decode(codes[:, count:])
        return total

    @torch.no_grad()
    def initialize(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        for part in self._parts:
            part.initialize(latents, mask, generator=generator)

    @property
    def _parts(self) -> tuple[ResidualQuantizer, ResidualQuantizer]:
        return self.semantic, self.acoustic
