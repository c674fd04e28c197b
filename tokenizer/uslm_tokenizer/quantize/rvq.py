"""Residual vector quantization: every level codes what the levels before it left over."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.base import Quantized, Quantizer, straight_through
from uslm_tokenizer.quantize.merge import hold, pool
from uslm_tokenizer.quantize.single import SingleConfig, build_single


@dataclass(frozen=True, kw_only=True)
class ResidualQuantizerConfig:
    levels: tuple[SingleConfig, ...]
    """The quantizer of each level, from coarse to fine; all of one `dim` and `codebook_size`."""
    dropout: float = 0.5
    """Share of the rows of a training batch that use only their first few levels."""
    min_levels: int = 1
    """The fewest levels that such a row uses; the number is drawn evenly from here to all."""
    merge: tuple[int, ...] = ()
    """Frames that share their codes, of each level, where latents become codes (VALL-E R; see
    merge.py); empty: none do. Training has nothing to do with it."""

    def __post_init__(self) -> None:
        sizes = [(level.dim, level.codebook_size, level.num_codebooks) for level in self.levels]
        if len(set(sizes)) != 1:
            raise ConfigError(
                "levels must be one or more quantizers of equal dim, codebook_size and "
                f"num_codebooks, but are {sizes}"
            )
        if not 1 <= self.min_levels <= len(self.levels):
            raise ConfigError(
                f"min_levels must be from 1 to {len(self.levels)}, but is {self.min_levels}"
            )
        if not 0 <= self.dropout <= 1:
            raise ConfigError(f"dropout must be in [0, 1], but is {self.dropout}")
        if self.merge and (len(self.merge) != len(self.levels) or min(self.merge) < 1):
            raise ConfigError(
                f"merge must be {len(self.levels)} numbers of 1 or more, one for each level, or "
                f"none, but is {list(self.merge)}"
            )

    @property
    def dim(self) -> int:
        """Width of the latents."""
        return self.levels[0].dim

    @property
    def codebook_size(self) -> int:
        """Entries of each codebook."""
        return self.levels[0].codebook_size

    @property
    def num_codebooks(self) -> int:
        """Codes of one frame."""
        return sum(level.num_codebooks for level in self.levels)


class ResidualQuantizer(Quantizer):
    """A stack of quantizers; the codes of a level follow those of the level before it.

    The residual is taken from the *detached* output of each level. Subtracting the straight-through
    output instead, as EnCodec and its descendants do, cancels the gradient: no commitment loss but
    the first level's would reach the encoder.
    """

    def __init__(self, config: ResidualQuantizerConfig) -> None:
        super().__init__()
        self.config = config
        self.levels = nn.ModuleList(build_single(level) for level in config.levels)
        self.identity_gradient = all(level.identity_gradient for level in self._span())
        self.learns = any(level.learns for level in self._span())
        self.draws_codes = any(level.draws_codes for level in self._span())
        if config.merge:  # a tensor, so that tokens of merged codes are not taken for the others
            self.register_buffer("merge", torch.tensor(config.merge))

    def merged(self, merge: Sequence[int]) -> "ResidualQuantizer":
        """The same levels, whose codes share so many frames each; an empty `merge` undoes it.

        Raises ConfigError unless there is a number for each level.
        """
        with torch.device("meta"):
            made = ResidualQuantizer(replace(self.config, merge=tuple(merge)))
        made.levels = self.levels
        if merge:
            made.register_buffer("merge", torch.tensor(made.config.merge))
        return made.train(self.training)

    @property
    def num_codebooks(self) -> int:
        return len(self.levels) * self._width

    @property
    def codebook_size(self) -> int:
        return self.config.codebook_size

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
        added: list[Tensor] = []
        for index, level in enumerate(self._span(0, num_quantizers)):
            row_used = index < depth
            frame_used = mask & row_used[:, None]
            seen = self._seen(index, latents.float(), residual)
            quantized: Quantized = level(seen, frame_used, generator=generator)
            total = total + quantized.latents * row_used[:, None, None]
            residual = residual - quantized.latents.detach()
            codes.append(quantized.codes)
            added.append(quantized.latents)
            losses.append(torch.stack([quantized.loss, quantized.commitment, quantized.codebook]))
            frames_used.append(frame_used.sum())
        if self.identity_gradient:
            # Every level hands the gradient on: without this it would come out multiplied.
            total = straight_through(latents.float(), total)
        share = torch.stack(frames_used) / torch.stack(frames_used).sum().clamp(min=1)
        loss, commitment, codebook = (share[:, None] * torch.stack(losses)).sum(0)
        latents = total.to(latents.dtype)
        return Quantized(
            latents,
            torch.cat(codes, 1),
            loss,
            commitment.detach(),
            codebook.detach(),
            tuple(level.to(latents.dtype) for level in added),
        )

    def encode(
        self, latents: Float[Tensor, "b d t"], num_quantizers: int | None = None, start: int = 0
    ) -> Int[Tensor, "b k t"]:
        """The codes of the first `num_quantizers` levels, or of all.

        With a `start` the levels before it are left out: nothing is subtracted for them.
        """
        latents = latents.detach().float()
        merge, length = self.config.merge or (1,) * len(self.levels), latents.shape[2]
        residual, codes = latents, []
        for index, level in enumerate(self._span(start, num_quantizers), start):
            seen = pool(self._seen(index, latents, residual), merge[index])
            codes.append(hold(level.encode(seen), merge[index], length))
            residual = residual - level.decode(codes[-1]).detach()
        return torch.cat(codes, 1)

    def decode(
        self, codes: Int[Tensor, "b k t"], num_quantizers: int | None = None, start: int = 0
    ) -> Float[Tensor, "b d t"]:
        """The sum of the levels in `codes`, or of those below `num_quantizers`.

        The codes begin with level `start`, and may end before the last.
        """
        given = start + codes.shape[1] // self._width
        if num_quantizers is not None and num_quantizers > given:
            raise ValueError(
                f"num_quantizers must be at most {given}, the levels given, but is {num_quantizers}"
            )
        levels = self._span(start, given if num_quantizers is None else num_quantizers)
        parts = codes.chunk(given - start, dim=1)
        total = levels[0].decode(parts[0])
        for level, part in zip(levels[1:], parts[1:], strict=False):
            total = total + level.decode(part)
        return total

    def soft_assignment(
        self, latents: Float[Tensor, "b d t"], temperature: float = 1.0
    ) -> Float[Tensor, "b k t v"]:
        """As of any quantizer; each level's is of what the nearest codes before it left over."""
        residual, shares = latents.float(), []
        for index, level in enumerate(self._span()):
            seen = self._seen(index, latents.float(), residual)
            shares.append(level.soft_assignment(seen, temperature))
            residual = residual - level.decode(level.encode(seen)).detach()
        return torch.cat(shares, 1)

    @torch.no_grad()
    def initialize(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        latents = latents.float()
        residual = latents
        for index, level in enumerate(self._span()):
            seen = self._seen(index, latents, residual)
            level.initialize(seen, mask, generator=generator)
            residual = residual - level.decode(level.encode(seen))

    def _seen(
        self, index: int, latents: Float[Tensor, "b d t"], residual: Float[Tensor, "b d t"]
    ) -> Float[Tensor, "b d t"]:
        """Residual that level `index` quantizes."""
        return residual

    @property
    def _width(self) -> int:
        """Codebooks of a level."""
        return self.config.levels[0].num_codebooks

    def _span(self, start: int = 0, stop: int | None = None) -> list[Quantizer]:
        """Levels `start` to `stop` - 1; the caller's `num_quantizers` is `stop`."""
        if stop is None:
            stop = len(self.levels)
        if not 0 <= start < len(self.levels):
            raise ValueError(f"start must be from 0 to {len(self.levels) - 1}, but is {start}")
        if not start < stop <= len(self.levels):
            raise ValueError(
                f"num_quantizers must be from {start + 1} to {len(self.levels)}, but is {stop}"
            )
        return [cast(Quantizer, level) for level in self.levels[start:stop]]

    def _draw_depth(
        self,
        latents: Float[Tensor, "b d t"],
        num_quantizers: int | None,
        generator: torch.Generator | None,
    ) -> Int[Tensor, " b"]:
        """Number of levels that each row uses."""
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
