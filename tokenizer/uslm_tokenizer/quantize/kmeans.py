"""K-means: fitting centroids to features, and the frozen quantizer made of them."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.base import (
    Quantized,
    Quantizer,
    flatten_frames,
    full_precision,
    real_frames,
    soft_codes,
    straight_through,
)

FRAMES_AT_ONCE = 8_192  # frames compared with all centroids at once: 32 MB for 1,024 of them


@dataclass(frozen=True, kw_only=True)
class KMeansConfig:
    dim: int
    """Width of the features."""
    codebook_size: int = 500
    """Number of centroids."""
    iterations: int = 50
    """Rounds of `initialize`, if the centroids have not settled before."""

    def __post_init__(self) -> None:
        for name in ("dim", "codebook_size", "iterations"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, but is {getattr(self, name)}")

    @property
    def num_codebooks(self) -> int:
        """Codes of one frame."""
        return 1


class KMeans(Quantizer):
    """Centroids that no gradient moves: `fit` or `initialize` places them, once."""

    learns = False
    centroids: Tensor

    def __init__(self, config: KMeansConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("centroids", torch.randn(config.codebook_size, config.dim))

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
        zero = self.centroids.new_zeros((), dtype=torch.float32)
        return Quantized(quantized, codes, zero, zero, zero)

    def encode(self, latents: Float[Tensor, "b d t"]) -> Int[Tensor, "b k t"]:
        with full_precision(latents):
            codes, _ = nearest(flatten_frames(latents.detach()), self.centroids.float())
        return rearrange(codes, "(b t) -> b 1 t", b=len(latents))

    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b d t"]:
        return rearrange(self.centroids[codes[:, 0]], "b t d -> b d t")

    def code_points(self) -> Float[Tensor, "v d"]:
        return self.centroids

    def soft_assignment(
        self, latents: Float[Tensor, "b d t"], temperature: float = 1.0
    ) -> Float[Tensor, "b k t v"]:
        return soft_codes(latents, self.centroids, temperature)

    @torch.no_grad()
    def initialize(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        frames = real_frames(latents, mask)
        rounds = self.config.iterations
        self.centroids.copy_(
            fit(frames, self.codebook_size, iterations=rounds, generator=generator)
        )


@torch.no_grad()
def fit(
    features: Float[Tensor, "n d"],
    num_centroids: int,
    *,
    iterations: int = 50,
    batch_size: int | None = None,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "k d"]:
    """Centroids of the features, the same for the same generator state.

    Lloyd's algorithm until nothing moves, or, with a `batch_size`, `iterations` steps on random
    batches (Sculley 2010). Centroids that attract nothing are put where the error is largest.
    """
    if len(features) < num_centroids:
        raise ValueError(
            f"k-means needs at least {num_centroids} features for {num_centroids} centroids, "
            f"but there are {len(features)}"
        )
    with full_precision(features):
        features = features.float()
        candidates = _sample(features, 64 * num_centroids, generator)
        centroids = plus_plus(candidates, num_centroids, generator)
        if batch_size is None or batch_size >= len(features):
            return _lloyd(features, centroids, iterations)
        return _mini_batches(features, centroids, iterations, batch_size, generator)


def plus_plus(
    features: Float[Tensor, "n d"], num_centroids: int, generator: torch.Generator | None = None
) -> Float[Tensor, "k d"]:
    """Start points far from each other: each drawn by its squared distance to those before it."""
    draws = _random(num_centroids, features, generator)
    first = int(draws[0] * len(features))
    chosen = [features[first]]
    distance = (features - chosen[0]).square().sum(1)
    for draw in draws[1:]:
        cumulative = distance.cumsum(0)
        index = torch.searchsorted(cumulative, draw * cumulative[-1], right=True)
        chosen.append(features[index.clamp(max=len(features) - 1)])
        distance = torch.minimum(distance, (features - chosen[-1]).square().sum(1))
    return torch.stack(chosen)


def nearest(
    frames: Float[Tensor, "n d"], centroids: Float[Tensor, "k d"]
) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"]]:
    """Nearest centroid of each frame, and the squared distance to it."""
    half_norm = centroids.square().sum(1) / 2  # [k]
    codes = torch.empty(len(frames), dtype=torch.long, device=frames.device)
    distance = torch.empty_like(frames[:, 0])
    for start in range(0, len(frames), FRAMES_AT_ONCE):
        part = frames[start : start + FRAMES_AT_ONCE]
        # |x - c|^2 = |x|^2 + 2 (|c|^2 / 2 - x c): one matrix product [m, d] x [d, k] in place of
        # differences [m, k, d]. |x|^2 is the same for all c: the minimum does without it.
        score, codes[start : start + FRAMES_AT_ONCE] = (half_norm - part @ centroids.T).min(1)
        distance[start : start + FRAMES_AT_ONCE] = part.square().sum(1) + 2 * score
    return codes, distance.clamp(min=0)


def cluster_counts(codes: Int[Tensor, " n"], num_centroids: int) -> Float[Tensor, " k"]:
    """Number of frames that chose each centroid."""
    ones = torch.ones_like(codes, dtype=torch.float32)
    return ones.new_zeros(num_centroids).index_add_(0, codes, ones)


def cluster_sums(
    frames: Float[Tensor, "n d"], codes: Int[Tensor, " n"], num_centroids: int
) -> Float[Tensor, "k d"]:
    """The sum of the frames that chose each centroid."""
    sums = frames.new_zeros(num_centroids, frames.shape[1])
    chunks = zip(
        torch.split(frames, FRAMES_AT_ONCE), torch.split(codes, FRAMES_AT_ONCE), strict=True
    )
    for part, part_codes in chunks:
        # A product with one-hot rows adds in a fixed order; scattered adds on a GPU do not.
        sums += F.one_hot(part_codes, num_centroids).to(frames.dtype).T @ part
    return sums


def _lloyd(features: Tensor, centroids: Tensor, iterations: int) -> Tensor:
    for _ in range(iterations):
        codes, distance = nearest(features, centroids)
        counts = cluster_counts(codes, len(centroids))
        sums = cluster_sums(features, codes, len(centroids))
        moved = sums / counts.clamp(min=1)[:, None]
        moved = _reseed(moved, counts == 0, features, distance)
        if torch.equal(moved, centroids):
            break
        centroids = moved
    return centroids


def _mini_batches(
    features: Tensor,
    centroids: Tensor,
    iterations: int,
    batch_size: int,
    generator: torch.Generator | None,
) -> Tensor:
    seen = features.new_zeros(len(centroids))
    for step in range(iterations):
        batch = _sample(features, batch_size, generator)
        codes, distance = nearest(batch, centroids)
        counts = cluster_counts(codes, len(centroids))
        sums = cluster_sums(batch, codes, len(centroids))
        seen = seen + counts
        # The mean of all that each centroid has seen, kept up to date.
        centroids = centroids + (sums - counts[:, None] * centroids) / seen.clamp(min=1)[:, None]
        if step % 10 == 9 and step + 10 < iterations:
            starved = seen < 0.01 * seen.mean()
            centroids = _reseed(centroids, starved, batch, distance)
            seen = torch.where(starved, seen.mean(), seen)
    return centroids


def _reseed(centroids: Tensor, empty: Tensor, frames: Tensor, distance: Tensor) -> Tensor:
    """Put the empty centroids onto the frames that lie farthest from theirs."""
    number = min(int(empty.sum()), len(frames))
    if number == 0:
        return centroids
    centroids = centroids.clone()
    places = empty.nonzero()[:number, 0]
    centroids[places] = frames[distance.topk(number).indices]
    return centroids


def _sample(features: Tensor, size: int, generator: torch.Generator | None) -> Tensor:
    if size >= len(features):
        return features
    device = None if generator is None else generator.device
    picks = torch.randperm(len(features), generator=generator, device=device)[:size]
    return features[picks.to(features.device)]


def _random(size: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
    device = None if generator is None else generator.device
    return torch.rand(size, generator=generator, device=device).to(like.device)
