"""Differentiable k-means: in training the centroid is drawn, so that any loss after it moves it.

Onda et al. 2025 (arXiv 2505.16207): the probability of centroid j for a frame s is
softmax_j(-sharpness |s - m_j|^2). A Gumbel-softmax sample takes the place of the nearest centroid,
straight through (Jang et al. 2017): the value is one centroid, the gradient that of the mixture.
Outside training it is k-means.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize import kmeans
from uslm_tokenizer.quantize.base import (
    Quantized,
    Quantizer,
    flatten_frames,
    full_precision,
    mean_square,
    real_frames,
    soft_codes,
    square_distances,
)

SMALLEST_UNIFORM = 1e-20
"""Its logarithm's logarithm is still finite."""


@dataclass(frozen=True, kw_only=True)
class DifferentiableKMeansConfig:
    dim: int
    """Width of the features."""
    codebook_size: int = 500
    """Number of centroids."""
    temperature: float = 2.0
    """Of the Gumbel-softmax where training begins; `set_temperature` moves it."""
    commitment_weight: float = 0.0
    """Weight of the mean squared distance of frames to the centroids that were drawn for them."""

    def __post_init__(self) -> None:
        for name in ("dim", "codebook_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, but is {getattr(self, name)}")
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be above 0, but is {self.temperature}")

    @property
    def num_codebooks(self) -> int:
        """Codes of one frame."""
        return 1


class DifferentiableKMeans(Quantizer):
    """Centroids that a loss moves; `initialize` places them and the sharpness.

    The sharpness is one over the mean squared distance of a frame to its centroid, so that what
    is as far as that has a share 1/e of the nearest, whatever the scale of the features.
    """

    identity_gradient = False
    draws_codes = True
    sharpness: Tensor

    def __init__(self, config: DifferentiableKMeansConfig) -> None:
        super().__init__()
        self.config = config
        self.centroids = nn.Parameter(torch.randn(config.codebook_size, config.dim))
        self.register_buffer("sharpness", torch.ones(()))
        self.temperature = config.temperature

    @property
    def num_codebooks(self) -> int:
        return 1

    @property
    def codebook_size(self) -> int:
        return self.config.codebook_size

    def set_temperature(self, temperature: float) -> None:
        """Of the draws from now on; low ones follow the sample, high ones the mixture."""
        if not temperature > 0:
            raise ConfigError(f"temperature must be above 0, but is {temperature}")
        self.temperature = temperature

    def cool(self, share: float, final: float) -> None:
        start = self.config.temperature
        self.set_temperature(start + (final - start) * share)

    def code_points(self) -> Float[Tensor, "v d"]:
        return self.centroids

    def forward(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Quantized:
        b = len(latents)
        with full_precision(latents):
            frames, centroids = flatten_frames(latents), self.centroids.float()
            if self.training:
                weights, codes = self._draw(frames, centroids, generator)
                chosen = weights @ centroids
            else:
                codes, _ = kmeans.nearest(frames.detach(), centroids.detach())
                chosen = centroids[codes]
            commitment = mean_square(frames, centroids.detach()[codes], mask)
        return Quantized(
            rearrange(chosen, "(b t) d -> b d t", b=b).to(latents.dtype),
            rearrange(codes, "(b t) -> b 1 t", b=b),
            self.config.commitment_weight * commitment,
            commitment.detach(),
            torch.zeros_like(commitment).detach(),
        )

    def encode(self, latents: Float[Tensor, "b d t"]) -> Int[Tensor, "b k t"]:
        with full_precision(latents):
            frames, centroids = flatten_frames(latents.detach()), self.centroids.detach().float()
            codes, _ = kmeans.nearest(frames, centroids)
        return rearrange(codes, "(b t) -> b 1 t", b=len(latents))

    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b d t"]:
        return rearrange(self.centroids[codes[:, 0]], "b t d -> b d t")

    def soft_assignment(
        self, latents: Float[Tensor, "b d t"], temperature: float = 1.0
    ) -> Float[Tensor, "b k t v"]:
        """As of any quantizer, but the temperature counts in units of one over the sharpness."""
        return soft_codes(latents, self.centroids, temperature / float(self.sharpness))

    @torch.no_grad()
    def initialize(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        """Centroids by k-means, and the sharpness that fits them."""
        frames = real_frames(latents, mask)
        self.centroids.copy_(kmeans.fit(frames, self.codebook_size, generator=generator))
        _, distances = kmeans.nearest(frames, self.centroids.detach())
        self.sharpness.copy_(1 / distances.mean().clamp(min=1e-12))

    def _draw(
        self,
        frames: Float[Tensor, "n d"],
        centroids: Float[Tensor, "v d"],
        generator: torch.Generator | None,
    ) -> tuple[Float[Tensor, "n v"], Int[Tensor, " n"]]:
        """One centroid for each frame, as one-hot rows that carry the mixture's gradient."""
        scores = -self.sharpness * square_distances(frames, centroids)
        device = None if generator is None else generator.device
        uniform = torch.rand(scores.shape, generator=generator, device=device).to(scores.device)
        gumbel = -(-uniform.clamp(min=SMALLEST_UNIFORM).log()).log()
        soft = ((scores + gumbel) / self.temperature).softmax(-1)
        codes = soft.detach().argmax(-1)
        hard = torch.zeros_like(soft).scatter(1, codes[:, None], 1.0)
        return hard + soft - soft.detach(), codes
