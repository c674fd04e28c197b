"""Multi-codebook vector quantization: a frame is the sum of a code of each of several codebooks.

As SPEAR's labels are made (Yang et al. 2025, arXiv 2510.25955; Guo et al. 2023). Unlike residual
levels, the codebooks are learnt together and none comes first. Codes are guessed by a linear
classifier of each codebook and then refined: one codebook after another takes what is nearest
while the others stay. So refining never makes the error larger.
"""

from dataclasses import dataclass
from math import isqrt

import torch
import torch.nn.functional as F
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
    straight_through,
)

ROWS = 512
"""Frames of a step of `initialize`."""


@dataclass(frozen=True, kw_only=True)
class MultiCodebookConfig:
    dim: int
    """Width of the features."""
    num_codebooks: int = 4
    """Codes of a frame."""
    codebook_size: int = 256
    """Entries of each codebook: a square number, as they begin as pairs of smaller ones."""
    refinements: int = 3
    """Rounds over the codebooks after the classifiers' guess."""
    steps: int = 400
    """Training steps of `initialize`, half of them with twice as many small codebooks."""
    learning_rate: float = 5e-3
    """Of these."""

    def __post_init__(self) -> None:
        for name in ("dim", "num_codebooks", "codebook_size", "steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, but is {getattr(self, name)}")
        if isqrt(self.codebook_size) ** 2 != self.codebook_size:
            raise ConfigError(f"codebook_size must be a square number, but is {self.codebook_size}")
        if self.refinements < 0:
            raise ConfigError(f"refinements must not be negative, but is {self.refinements}")


class MultiCodebookQuantizer(Quantizer):
    """Codebooks whose codes add up to the features; `initialize` trains them."""

    def __init__(self, config: MultiCodebookConfig) -> None:
        super().__init__()
        self.config = config
        shape = (config.num_codebooks, config.codebook_size, config.dim)
        self.codebooks = nn.Parameter(torch.randn(shape) / config.num_codebooks**0.5)
        self.classifiers = nn.Parameter(torch.zeros(shape))
        self.biases = nn.Parameter(torch.zeros(shape[:2]))

    @property
    def num_codebooks(self) -> int:
        return self.config.num_codebooks

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
        b = len(latents)
        with full_precision(latents):
            frames = flatten_frames(latents)
            codes = self._codes(frames.detach())
            chosen = _sum_of(self.codebooks.float(), codes)
            commitment = mean_square(frames, chosen.detach(), mask)
            codebook = mean_square(chosen, frames.detach(), mask)
            quantized = straight_through(frames, chosen)
        return Quantized(
            rearrange(quantized, "(b t) d -> b d t", b=b).to(latents.dtype),
            rearrange(codes, "(b t) k -> b k t", b=b),
            commitment + codebook,
            commitment.detach(),
            codebook.detach(),
        )

    @torch.no_grad()
    def encode(
        self, latents: Float[Tensor, "b d t"], refinements: int | None = None
    ) -> Int[Tensor, "b k t"]:
        """The codes; after so many rounds of refinement, or those of the config."""
        with full_precision(latents):
            codes = self._codes(flatten_frames(latents.detach()), refinements)
        return rearrange(codes, "(b t) k -> b k t", b=len(latents))

    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b d t"]:
        frames = _sum_of(self.codebooks, rearrange(codes, "b k t -> (b t) k"))
        return rearrange(frames, "(b t) d -> b d t", b=len(codes))

    @torch.no_grad()
    def initialize(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        """Train codebooks and classifiers on the features, in two halves.

        First twice as many codebooks of the square root of the size, placed by k-means of what
        those before them leave over; then each two of them are fused into one of all their sums.
        """
        frames, config = real_frames(latents, mask), self.config
        small = isqrt(config.codebook_size)
        residual, codebooks = frames, []
        for _ in range(2 * config.num_codebooks):
            codebooks.append(kmeans.fit(residual, small, iterations=10, generator=generator))
            residual = residual - codebooks[-1][kmeans.nearest(residual, codebooks[-1])[0]]
        parts = _Parts(torch.stack(codebooks))
        half = max(1, config.steps // 2)
        _train(parts, frames, half, config.learning_rate, config.refinements, generator)
        fused = _Parts.fused(parts)
        _train(fused, frames, half, config.learning_rate / 2, config.refinements, generator)
        self.codebooks.copy_(fused.codebooks)
        self.classifiers.copy_(fused.classifiers)
        self.biases.copy_(fused.biases)

    def _codes(
        self, frames: Float[Tensor, "n d"], refinements: int | None = None
    ) -> Int[Tensor, "n k"]:
        codebooks, classifiers = self.codebooks.detach().float(), self.classifiers.detach().float()
        rounds = self.config.refinements if refinements is None else refinements
        guess = _guess(frames, classifiers, self.biases.detach().float()).argmax(-1)
        return _refined(frames, codebooks, guess, rounds)


class _Parts(nn.Module):
    """Codebooks and their classifiers while they are trained."""

    def __init__(self, codebooks: Float[Tensor, "k v d"]) -> None:
        super().__init__()
        self.codebooks = nn.Parameter(codebooks.clone())
        # Beside nothing else, the nearest code is that of x c - |c|^2 / 2.
        self.classifiers = nn.Parameter(codebooks.clone())
        self.biases = nn.Parameter(-codebooks.square().sum(-1) / 2)

    @staticmethod
    def fused(parts: "_Parts") -> "_Parts":
        """Each two codebooks as one: a code for each pair of theirs."""

        def pairs(table: Tensor) -> Tensor:
            first, second = table[0::2], table[1::2]
            return (first[:, :, None] + second[:, None]).flatten(1, 2)

        made = _Parts(pairs(parts.codebooks.detach()))
        made.classifiers.copy_(pairs(parts.classifiers.detach()))
        made.biases.copy_(pairs(parts.biases.detach()))
        return made


@torch.enable_grad()
def _train(
    parts: _Parts,
    frames: Float[Tensor, "n d"],
    steps: int,
    rate: float,
    rounds: int,
    generator: torch.Generator | None,
) -> None:
    """Relative error of the refined codes, and cross-entropy of the classifiers to them."""
    optimizer = torch.optim.Adam(parts.parameters(), rate, betas=(0.9, 0.98))
    power = frames.square().mean()
    device = None if generator is None else generator.device
    for _ in range(steps):
        picks = torch.randint(len(frames), (ROWS,), generator=generator, device=device)
        x = frames[picks.to(frames.device)]
        scores = _guess(x, parts.classifiers, parts.biases)
        codes = _refined(x, parts.codebooks.detach(), scores.detach().argmax(-1), rounds)
        error = F.mse_loss(_sum_of(parts.codebooks, codes), x) / power
        guessed = F.cross_entropy(scores.flatten(0, 1), codes.flatten())
        optimizer.zero_grad()
        (error + guessed).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _guess(
    frames: Float[Tensor, "n d"], classifiers: Float[Tensor, "k v d"], biases: Float[Tensor, "k v"]
) -> Float[Tensor, "n k v"]:
    return torch.einsum("nd,kvd->nkv", frames, classifiers) + biases


def _refined(
    frames: Float[Tensor, "n d"],
    codebooks: Float[Tensor, "k v d"],
    codes: Int[Tensor, "n k"],
    rounds: int,
) -> Int[Tensor, "n k"]:
    codes = codes.clone()
    for _ in range(rounds):
        before = codes.clone()
        left = frames - _sum_of(codebooks, codes)
        for k, table in enumerate(codebooks):
            alone = left + table[codes[:, k]]
            codes[:, k] = kmeans.nearest(alone, table)[0]
            left = alone - table[codes[:, k]]
        if torch.equal(codes, before):
            break
    return codes


def _sum_of(codebooks: Float[Tensor, "k v d"], codes: Int[Tensor, "n k"]) -> Float[Tensor, "n d"]:
    return torch.stack([table[codes[:, k]] for k, table in enumerate(codebooks)]).sum(0)
