"""The scalar bottleneck of VoxCPM: hidden states squeezed onto a few values, without codes.

    hidden -> linear -> tanh -> round(scale x) / scale -> linear -> hidden

Each channel takes one of 2 scale + 1 values, so only so much gets through: in VoxCPM what is said,
and not how it sounds in detail. It is FSQ (Mentzer et al. 2023) inside a language model; nobody
reads its codes, as 256 channels have more of them than there are names for.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.base import full_precision


class ScalarBottleneck(nn.Module):
    """Hidden states to hidden states that lie on a grid in between."""

    def __init__(self, hidden_dim: int, dim: int, scale: int | None) -> None:
        """`dim` channels in the middle; `scale` None lets every value pass: a control."""
        super().__init__()
        if scale is not None and scale < 1:
            raise ConfigError(f"the scale of a bottleneck must be 1 or more, but is {scale}")
        self.scale = scale
        self.input = nn.Linear(hidden_dim, dim)
        self.output = nn.Linear(dim, hidden_dim)

    def grid(self, hidden: Float[Tensor, "*b d"]) -> Float[Tensor, "*b e"]:
        """Values in the middle, in [-1, 1]; a gradient passes as if nothing had been rounded."""
        with full_precision(hidden):
            squashed: Tensor = torch.tanh(self.input(hidden))
            if self.scale is None:
                return squashed
            rounded = (squashed.detach() * self.scale).round() / self.scale
            return rounded + (squashed - squashed.detach())  # exactly on the grid

    def forward(self, hidden: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        found: Tensor = self.output(self.grid(hidden).to(hidden.dtype))
        return found
