"""Factorized vector quantization: the lookup happens in a few learned dimensions, by angle.

Improved VQGAN (Yu et al. 2021) and the Descript Audio Codec (Kumar et al. 2023): of a codebook in 8
dimensions hardly a code stays unused, where one in 1,024 dimensions wastes most of its own.
"""

from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.quantize.base import Quantized, Quantizer, full_precision
from uslm_tokenizer.quantize.vq import VectorQuantizer, VectorQuantizerConfig


@dataclass(frozen=True, kw_only=True)
class FactorizedQuantizerConfig(VectorQuantizerConfig):
    """As for VectorQuantizer, with other defaults; `dim` is the width of the latents only."""

    code_dim: int
    """Width of the codes, in which the lookup happens; 8 is usual."""
    update: Literal["ema", "gradient"] = "gradient"
    """How the codebook between the projections learns."""
    cosine: bool = True
    """Choose the code by angle alone."""
    commitment_weight: float = 0.25
    """Weight of the loss that pulls projected latents to their codes."""
    dead_share: float = 0.0
    """A code used less than this share of the average use is reset; 0: never."""
    weight_norm: bool = False
    """Whether the projections learn direction and length apart (Salimans & Kingma 2016)."""

    @property
    def codebook(self) -> VectorQuantizerConfig:
        """The codebook between the projections."""
        values = {f.name: getattr(self, f.name) for f in fields(VectorQuantizerConfig)}
        return VectorQuantizerConfig(**values | {"dim": self.code_dim})


class FactorizedQuantizer(Quantizer):
    """Linear in, a small codebook, linear out; both projections learn through the latents."""

    identity_gradient = False

    def __init__(self, config: FactorizedQuantizerConfig) -> None:
        super().__init__()
        self.config = config
        self.in_proj = nn.Linear(config.dim, config.code_dim)
        self.codebook = VectorQuantizer(config.codebook)
        self.out_proj = nn.Linear(config.code_dim, config.dim)
        if config.weight_norm:
            for projection in (self.in_proj, self.out_proj):
                nn.utils.parametrizations.weight_norm(projection)

    @property
    def num_codebooks(self) -> int:
        return 1

    @property
    def codebook_size(self) -> int:
        return self.codebook.codebook_size

    def forward(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Quantized:
        quantized: Quantized = self.codebook(
            _project(self.in_proj, latents), mask, generator=generator
        )
        restored = _project(self.out_proj, quantized.latents)
        return replace(quantized, latents=restored.to(latents.dtype))

    def soft_assignment(
        self, latents: Float[Tensor, "b d t"], temperature: float = 1.0
    ) -> Float[Tensor, "b k t v"]:
        return self.codebook.soft_assignment(_project(self.in_proj, latents), temperature)

    def encode(self, latents: Float[Tensor, "b d t"]) -> Int[Tensor, "b k t"]:
        return self.codebook.encode(_project(self.in_proj, latents))

    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b d t"]:
        chosen = self.codebook.decode(codes)
        return _project(self.out_proj, chosen).to(chosen.dtype)

    @torch.no_grad()
    def initialize(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        self.codebook.initialize(_project(self.in_proj, latents), mask, generator=generator)


def _project(linear: nn.Linear, latents: Float[Tensor, "b d t"]) -> Float[Tensor, "b e t"]:
    """The linear layer over the channels, in float32."""
    with full_precision(latents):
        frames = rearrange(latents.float(), "b d t -> b t d")
        projected = F.linear(frames, linear.weight.float(), linear.bias.float())
        return rearrange(projected, "b t e -> b e t")
