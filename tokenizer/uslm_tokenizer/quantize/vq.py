"""Vector quantization with one codebook, learnt by moving averages or by gradient.

Van den Oord et al. 2017; Razavi et al. 2019 for the averages.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, distributed, nn

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
    straight_through,
)


@dataclass(frozen=True, kw_only=True)
class VectorQuantizerConfig:
    dim: int
    """Width of the latents and of the codes."""
    codebook_size: int = 1024
    """Number of codes."""
    update: Literal["ema", "gradient"] = "ema"
    """Codes follow the moving average of their frames, or the gradient of the codebook loss."""
    cosine: bool = False
    """Choose the code by angle alone; its stored length still counts in value and losses."""
    commitment_weight: float = 1.0
    """Weight of the loss that pulls latents to their codes."""
    codebook_weight: float = 1.0
    """Weight of the loss that pulls codes to their latents; only for `update="gradient"`."""
    decay: float = 0.99
    """How much of the moving averages is kept at each step."""
    dead_share: float = 0.03
    """A code used less than this share of the average use is dead and is reset; 0: never."""
    dead_count: float = 0.0
    """A code that fewer frames of a step than this choose, on average, is dead too; 0: never."""
    smoothing: float = 0.0
    """Added to each code's size before the division by it (Laplace), with the total kept."""
    delayed_init: bool = False
    """In training pass latents through unquantized until `initialize` is called."""
    count_use: bool = True
    """Whether the state holds how often each code is used; published codebooks do not."""

    def __post_init__(self) -> None:
        for name in ("dim", "codebook_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, but is {getattr(self, name)}")
        for name in ("decay", "dead_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be in [0, 1), but is {getattr(self, name)}")
        for name in ("dead_count", "smoothing"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, but is {getattr(self, name)}")
        revives = self.dead_share > 0 or self.dead_count > 0
        if not self.count_use and (self.update == "ema" or revives or self.delayed_init):
            raise ConfigError(
                'count_use may only be False with update "gradient", dead_share and dead_count 0 '
                "and no late start"
            )

    @property
    def num_codebooks(self) -> int:
        """Codes of one frame."""
        return 1


class VectorQuantizer(Quantizer):
    """One codebook.

    The statistics of a code are three: its embedding, `cluster_size` (the moving average of the
    frames that choose it in a step) and `running_sum` (that of their sum). A dead code takes a
    random frame of the batch and has *all three* reset; were the sum kept, the next
    step would undo the revival. Across processes counts and sums are added up, so that all hold
    the same codebook.
    """

    embedding: Tensor
    cluster_size: Tensor
    running_sum: Tensor
    initialized: Tensor

    def __init__(self, config: VectorQuantizerConfig) -> None:
        super().__init__()
        self.config = config
        start = torch.randn(config.codebook_size, config.dim)
        if config.update == "gradient":
            self.embedding = nn.Parameter(start)
        else:
            self.register_buffer("embedding", start)
            self.register_buffer("running_sum", start.clone())
        if config.count_use:
            self.register_buffer("cluster_size", torch.ones(config.codebook_size))
            self.register_buffer("initialized", torch.tensor(not config.delayed_init))

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
        if self.training and self.config.delayed_init and not self.initialized:
            return _unquantized(latents)
        with full_precision(latents):
            frames = flatten_frames(latents)
            codes = self._nearest(frames.detach())
            chosen = F.embedding(codes, self.embedding.float())
            commitment = mean_square(frames, chosen.detach(), mask)
            loss = self.config.commitment_weight * commitment
            codebook = torch.zeros_like(commitment)
            if self.config.update == "gradient":
                codebook = mean_square(chosen, frames.detach(), mask)
                loss = loss + self.config.codebook_weight * codebook
            quantized = straight_through(frames, chosen)
            if self.training and self.config.count_use:
                real_codes = codes if mask is None else codes[mask.flatten()]
                self._update(real_frames(latents, mask), real_codes, generator)
        b = len(latents)
        return Quantized(
            rearrange(quantized, "(b t) d -> b d t", b=b).to(latents.dtype),
            rearrange(codes, "(b t) -> b 1 t", b=b),
            loss,
            commitment.detach(),
            codebook.detach(),
        )

    def encode(self, latents: Float[Tensor, "b d t"]) -> Int[Tensor, "b k t"]:
        with full_precision(latents):
            codes = self._nearest(flatten_frames(latents.detach()))
        return rearrange(codes, "(b t) -> b 1 t", b=len(latents))

    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b d t"]:
        return rearrange(F.embedding(codes[:, 0], self.embedding), "b t d -> b d t")

    def code_points(self) -> Float[Tensor, "v d"]:
        """As of any quantizer; not of one that chooses by angle."""
        return super().code_points() if self.config.cosine else self.embedding

    @property
    def is_placed(self) -> bool:
        return not self.config.count_use or bool(self.initialized)

    def soft_assignment(
        self, latents: Float[Tensor, "b d t"], temperature: float = 1.0
    ) -> Float[Tensor, "b k t v"]:
        """As of any quantizer; by angle alone where codes are chosen so."""
        codes = self.embedding
        if self.config.cosine:
            latents, codes = F.normalize(latents.float(), dim=1), _unit(codes.float())
        return soft_codes(latents, codes, temperature)

    @torch.no_grad()
    def initialize(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        """Start the codebook from k-means of the latents; ends the unquantized time."""
        frames = real_frames(latents, mask)
        points = _unit(frames) if self.config.cosine else frames
        start = kmeans.fit(points, self.codebook_size, iterations=20, generator=generator)
        if self.config.cosine:
            start = start * frames.norm(dim=1).mean()
        one_each = torch.ones(len(start), device=start.device)
        self._restart(one_each.bool(), _same_everywhere(start), one_each)
        if self.config.count_use:
            self.initialized.fill_(True)

    def _nearest(self, frames: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
        codes = self.embedding.detach().float()
        if self.config.cosine:  # among unit vectors the nearest is the one of the smallest angle
            frames, codes = _unit(frames), _unit(codes)
        return kmeans.nearest(frames, codes)[0]

    @torch.no_grad()
    def _update(
        self,
        frames: Float[Tensor, "n d"],
        codes: Int[Tensor, " n"],
        generator: torch.Generator | None,
    ) -> None:
        """One step of the moving averages, then revival of the codes that nobody uses."""
        counts = _add_up(kmeans.cluster_counts(codes, self.codebook_size))
        self.cluster_size.lerp_(counts.to(self.cluster_size.dtype), 1 - self.config.decay)
        if self.config.update == "ema":
            sums = _add_up(kmeans.cluster_sums(frames, codes, self.codebook_size))
            self.running_sum.lerp_(sums.to(self.running_sum.dtype), 1 - self.config.decay)
            self.embedding.copy_(self.running_sum / self._smoothed_sizes()[:, None])
        if self.config.dead_share > 0 or self.config.dead_count > 0:
            self._revive(frames, generator)

    def _smoothed_sizes(self) -> Float[Tensor, " v"]:
        sizes, extra = self.cluster_size, self.config.smoothing
        if extra > 0:
            total = sizes.sum()
            sizes = (sizes + extra) / (total + len(sizes) * extra) * total
        return sizes.clamp(min=1e-5)

    def _revive(self, frames: Float[Tensor, "n d"], generator: torch.Generator | None) -> None:
        average = self.cluster_size.mean()
        limit = (self.config.dead_share * average).clamp(min=self.config.dead_count)
        dead = self.cluster_size < limit
        fresh = self.embedding.detach()
        if len(frames):
            device = None if generator is None else generator.device
            size = (self.codebook_size,)
            picks = torch.randint(len(frames), size, generator=generator, device=device)
            fresh = frames[picks.to(frames.device)]
        # Revived codes count as average ones: they have time to win frames before they die again.
        sizes = average.clamp(min=self.config.dead_count).expand_as(self.cluster_size)
        self._restart(dead, _same_everywhere(fresh), sizes)

    def _restart(
        self, which: Bool[Tensor, " v"], codes: Float[Tensor, "v d"], sizes: Float[Tensor, " v"]
    ) -> None:
        """Reset embedding, cluster size and running sum of the codes in `which`, together."""
        column = which[:, None]
        codes = codes.to(self.embedding.dtype)
        self.embedding.copy_(torch.where(column, codes, self.embedding))
        if self.config.count_use:
            self.cluster_size.copy_(torch.where(which, sizes, self.cluster_size))
        if self.config.update == "ema":
            sums = codes * sizes[:, None]
            self.running_sum.copy_(torch.where(column, sums, self.running_sum))


def _unit(vectors: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    return F.normalize(vectors, dim=1)


def _unquantized(latents: Float[Tensor, "b d t"]) -> Quantized:
    zero = latents.new_zeros((), dtype=torch.float32)
    codes = torch.zeros_like(latents[:, :1], dtype=torch.long)
    return Quantized(latents, codes, zero, zero, zero)


def _add_up(tensor: Tensor) -> Tensor:
    """The sum over all processes."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(tensor)
    return tensor


def _same_everywhere(tensor: Tensor) -> Tensor:
    """The first process's tensor, in every process."""
    if distributed.is_available() and distributed.is_initialized():
        tensor = tensor.contiguous().clone()
        distributed.broadcast(tensor, src=0)
    return tensor
