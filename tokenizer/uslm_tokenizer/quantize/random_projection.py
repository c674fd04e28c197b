"""Random projection: codes of frames by a projection and a codebook that are drawn, never learnt.

Chiu et al. 2022 (BEST-RQ, arXiv 2202.01855); labels of BEATs' first iteration (Chen et al. 2023).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize import kmeans
from uslm_tokenizer.quantize.base import (
    Quantized,
    Quantizer,
    flatten_frames,
    full_precision,
    real_frames,
    straight_through,
)


@dataclass(frozen=True, kw_only=True)
class RandomProjectionConfig:
    dim: int
    """Width of the features."""
    codebook_size: int = 500
    """Number of codes."""
    code_dim: int = 16
    """Width that features are projected to."""
    seed: int = 0
    """What projection and codebook are drawn by: the same on every machine."""

    def __post_init__(self) -> None:
        for name in ("dim", "codebook_size", "code_dim"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, but is {getattr(self, name)}")

    @property
    def num_codebooks(self) -> int:
        """Codes of one frame."""
        return 1


class RandomProjection(Quantizer):
    """The code of the smallest angle to a frame's projection; `initialize` measures the scale of
    the features alone."""

    identity_gradient = False
    learns = False
    projection: Tensor
    codebook: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, config: RandomProjectionConfig) -> None:
        super().__init__()
        self.config = config
        draw = torch.Generator().manual_seed(config.seed)
        bound = (6 / (config.dim + config.code_dim)) ** 0.5  # Glorot & Bengio 2010
        drawn = torch.rand(config.dim, config.code_dim, generator=draw)
        codes = torch.randn(config.codebook_size, config.code_dim, generator=draw)
        self.register_buffer("projection", bound * (2 * drawn - 1))
        self.register_buffer("codebook", F.normalize(codes, dim=1))
        self.register_buffer("mean", torch.zeros(config.dim))
        self.register_buffer("std", torch.ones(config.dim))

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
        codes = self.encode(latents)
        quantized = straight_through(latents, self.decode(codes).to(latents.dtype))
        zero = self.codebook.new_zeros((), dtype=torch.float32)
        return Quantized(quantized, codes, zero, zero, zero)

    def encode(self, latents: Float[Tensor, "b d t"]) -> Int[Tensor, "b k t"]:
        with full_precision(latents):
            frames = (flatten_frames(latents.detach()) - self.mean) / self.std
            projected = F.normalize(frames @ self.projection.float(), dim=1)
            codes, _ = kmeans.nearest(projected, self.codebook.float())
        return rearrange(codes, "(b t) -> b 1 t", b=len(latents))

    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b d t"]:
        """The shortest of the features that are projected onto the code."""
        back = torch.linalg.pinv(self.projection.float())
        frames = self.codebook.float()[codes[:, 0]] @ back
        decoded: Tensor = rearrange(frames * self.std + self.mean, "b t d -> b d t")
        return decoded

    @torch.no_grad()
    def initialize(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        """Mean and deviation of the features."""
        frames = real_frames(latents, mask)
        self.mean.copy_(frames.mean(0))
        self.std.copy_(frames.std(0).nan_to_num(1.0) + 1e-3)
