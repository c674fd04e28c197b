"""The two transformers that look at one patch of latents: what encodes it, and what makes it.

encoder  [mark, frames of the patch]                          -> what stands for the patch
decoder  [condition + time, patch before, patch of noise ...] -> where its frames move
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from uslm.systems.voxcpm.stacks import StackConfig, both_sides, llama
from uslm_tokenizer.nn.llama import sinusoids

TIME_SCALE = 1000.0
"""What a time in [0, 1] is multiplied by, as in the published code."""


class LocalEncoder(nn.Module):
    """A patch of latents to one vector."""

    def __init__(self, config: StackConfig, latent_dim: int) -> None:
        super().__init__()
        self.mark = nn.Parameter(torch.randn(config.dim))
        self.input = nn.Linear(latent_dim, config.dim)
        self.body = llama(config)

    def forward(self, patches: Float[Tensor, "n p c"]) -> Float[Tensor, "n d"]:
        x = self.input(patches)
        mark = self.mark.expand(len(x), 1, -1)
        return both_sides(self.body, torch.cat([mark, x], dim=1))[:, 0]


class LocalDecoder(nn.Module):
    """A condition, the patch before and a patch on its way -> where that moves."""

    def __init__(self, config: StackConfig, latent_dim: int) -> None:
        super().__init__()
        self.dim = config.dim
        self.input = nn.Linear(latent_dim, config.dim)
        self.previous = nn.Linear(latent_dim, config.dim)
        self.time = nn.Sequential(
            nn.Linear(config.dim, config.dim), nn.SiLU(), nn.Linear(config.dim, config.dim)
        )
        self.body = llama(config)
        self.output = nn.Linear(config.dim, latent_dim)

    def forward(
        self,
        patches: Float[Tensor, "n p c"],
        place: Float[Tensor, " n"],
        condition: Float[Tensor, "n d"],
        previous: Float[Tensor, "n q c"],
    ) -> Float[Tensor, "n p c"]:
        """The way from noise to data; `place` runs from 0, noise, to 1. A condition of zeros is
        none."""
        share = sinusoids(TIME_SCALE * (1 - place), self.dim).to(patches.dtype)  # of noise
        first = (condition + self.time(share))[:, None]
        x = torch.cat([first, self.previous(previous), self.input(patches)], dim=1)
        hidden = both_sides(self.body, x)[:, 1 + previous.shape[1] :]
        found: Tensor = self.output(hidden)
        return found
