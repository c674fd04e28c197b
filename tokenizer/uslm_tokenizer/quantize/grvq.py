"""Grouped vector quantization: the channels are cut into groups, each with a codebook of its own.

HiFi-Codec (Yang et al. 2023). Levels of it in a ResidualQuantizer are its group-residual VQ, whose
codes are ordered codebook 0 group 0, codebook 0 group 1, codebook 1 group 0, ...
"""

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.base import Quantized, Quantizer
from uslm_tokenizer.quantize.vq import VectorQuantizer, VectorQuantizerConfig


@dataclass(frozen=True, kw_only=True)
class GroupedQuantizerConfig:
    group: VectorQuantizerConfig
    """The codebook of each group; its `dim` is the width of one group."""
    num_groups: int = 2
    """Groups of channels, of equal width."""

    def __post_init__(self) -> None:
        if self.num_groups < 1:
            raise ConfigError(f"num_groups must be at least 1, but is {self.num_groups}")

    @property
    def dim(self) -> int:
        """Width of the latents."""
        return self.num_groups * self.group.dim

    @property
    def codebook_size(self) -> int:
        """Entries of each codebook."""
        return self.group.codebook_size

    @property
    def num_codebooks(self) -> int:
        """Codes of one frame."""
        return self.num_groups


class GroupedQuantizer(Quantizer):
    """One codebook for each group of channels; the losses are means over the groups."""

    def __init__(self, config: GroupedQuantizerConfig) -> None:
        super().__init__()
        self.config = config
        self.groups = nn.ModuleList(VectorQuantizer(config.group) for _ in range(config.num_groups))

    @property
    def num_codebooks(self) -> int:
        return self.config.num_groups

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
        parts: list[Quantized] = [
            group(part, mask, generator=generator) for group, part in self._pairs(latents)
        ]
        return Quantized(
            torch.cat([part.latents for part in parts], dim=1),
            torch.cat([part.codes for part in parts], dim=1),
            torch.stack([part.loss for part in parts]).mean(),
            torch.stack([part.commitment for part in parts]).mean(),
            torch.stack([part.codebook for part in parts]).mean(),
        )

    def encode(self, latents: Float[Tensor, "b d t"]) -> Int[Tensor, "b k t"]:
        return torch.cat([group.encode(part) for group, part in self._pairs(latents)], dim=1)

    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b d t"]:
        return torch.cat([group.decode(part) for group, part in self._pairs(codes)], dim=1)

    def soft_assignment(
        self, latents: Float[Tensor, "b d t"], temperature: float = 1.0
    ) -> Float[Tensor, "b k t v"]:
        pairs = self._pairs(latents)
        return torch.cat([group.soft_assignment(part, temperature) for group, part in pairs], 1)

    @torch.no_grad()
    def initialize(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        for group, part in self._pairs(latents):
            group.initialize(part, mask, generator=generator)

    def _pairs(self, tensor: Tensor) -> list[tuple[VectorQuantizer, Tensor]]:
        """Each group with its share of the second axis."""
        parts = tensor.chunk(self.config.num_groups, dim=1)
        groups = cast(list[VectorQuantizer], list(self.groups))
        return list(zip(groups, parts, strict=True))
