"""Masked-channel residual quantization of Language-Codec (Ji et al. 2024).

The first levels stand side by side: each sees a share of the channels only, the others zero, so
that no first codebook takes most of the information for itself. The levels above are a residual
stack over what those leave together.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig


@dataclass(frozen=True, kw_only=True)
class MaskedChannelQuantizerConfig(ResidualQuantizerConfig):
    """As for ResidualQuantizer; a row of a training batch uses all of the first levels."""

    num_parallel: int = 3
    """Levels that see a share of the channels each."""
    dropout: float = 1.0
    """Share of the rows of a training batch that use only their first few levels."""
    min_levels: int = 3
    """The fewest levels that such a row uses; the number is drawn evenly from here to all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.num_parallel <= self.min_levels:
            raise ConfigError(
                f"num_parallel must be from 1 to min_levels, {self.min_levels}, "
                f"but is {self.num_parallel}"
            )


class MaskedChannelQuantizer(ResidualQuantizer):
    """The codes of all levels stand for full-width latents, which add up."""

    config: MaskedChannelQuantizerConfig

    def __init__(self, config: MaskedChannelQuantizerConfig) -> None:
        super().__init__(config)

    def _seen(
        self, index: int, latents: Float[Tensor, "b d t"], residual: Float[Tensor, "b d t"]
    ) -> Float[Tensor, "b d t"]:
        count, dim = self.config.num_parallel, latents.shape[1]
        if index >= count:
            return residual
        share = slice(index * dim // count, (index + 1) * dim // count)
        alone = torch.zeros_like(latents)
        alone[:, share] = latents[:, share]
        return alone
