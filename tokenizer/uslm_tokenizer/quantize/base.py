"""Interface of quantizers: continuous latents in, codes and their latents out."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.errors import UserError


@dataclass
class Quantized:
    latents: Float[Tensor, "b d t"]
    """The values that the codes stand for; gradients pass straight through to the input."""
    codes: Int[Tensor, "b k t"]
    loss: Float[Tensor, ""]
    """What to add to the training loss: the two below in their weights."""
    commitment: Float[Tensor, ""]
    """Mean squared distance that pulls the encoder towards the codebook."""
    codebook: Float[Tensor, ""]
    """Mean squared distance that pulls the codebook towards the encoder; zero without gradients."""
    levels: tuple[Float[Tensor, "b d t"], ...] = ()
    """Of a residual quantizer: what each level adds; its gradient is that level's alone."""


class Quantizer(nn.Module, ABC):
    """One or more codebooks. Works in float32 under any autocast; the caller's dtype comes back.

    `mask` is True where a frame is real. Padding gets codes too (they mean nothing), but it moves
    no codebook, no loss and no statistic.
    """

    identity_gradient: bool = True
    """Whether the gradient passes unchanged to the input, not through learned projections."""
    learns: bool = True
    """Whether training moves its codes; else `initialize` alone does, or nothing."""
    draws_codes: bool = False
    """Whether codes are drawn in training, at a temperature that `cool` lowers."""

    @property
    @abstractmethod
    def num_codebooks(self) -> int:
        """Codes in one frame."""

    @property
    @abstractmethod
    def codebook_size(self) -> int:
        """Entries of each codebook; codes lie in [0, codebook_size)."""

    @abstractmethod
    def forward(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Quantized:
        """Quantize, and in training mode update the codebooks; what is drawn, `generator` draws."""

    @abstractmethod
    def encode(self, latents: Float[Tensor, "b d t"]) -> Int[Tensor, "b k t"]:
        """The codes alone; changes nothing."""

    @abstractmethod
    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b d t"]:
        """The latents that the codes stand for."""

    def soft_assignment(
        self, latents: Float[Tensor, "b d t"], temperature: float = 1.0
    ) -> Float[Tensor, "b k t v"]:
        """The share of each code in each frame, by its squared distance over `temperature`.

        It carries a gradient to latents and codebook; towards temperature 0 the nearest code has
        everything. UserError of a quantizer whose codes are no points of the latents.
        """
        raise UserError(
            f"{type(self).__name__} has no soft assignment: its codes are no points of the latents"
        )

    def code_points(self) -> Float[Tensor, "v d"]:
        """Points among the latents, the nearest of which is a frame's code.

        UserError of a quantizer that chooses its codes otherwise.
        """
        raise UserError(
            f"{type(self).__name__} has no code points: it does not choose the nearest of its codes"
        )

    def initialize(
        self,
        latents: Float[Tensor, "b d t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        """Start the codebooks from data, by k-means."""

    @property
    def is_placed(self) -> bool:
        """Whether it quantizes in training: before a delayed `initialize` latents pass through."""
        return all(part.is_placed for part in self.inner_quantizers())

    def cool(self, share: float, final: float) -> None:
        """Move the temperature of draws by this share of the way from its start to `final`."""
        for part in self.inner_quantizers():
            part.cool(share, final)

    def inner_quantizers(self) -> list["Quantizer"]:
        """Quantizers that it is made of."""
        return [part for part in self.modules() if isinstance(part, Quantizer) and part is not self]


def full_precision(tensor: Tensor) -> torch.autocast:
    """A context without autocast on the tensor's device: distances need all of float32."""
    return torch.autocast(tensor.device.type, enabled=False)


def soft_codes(
    latents: Float[Tensor, "b d t"], codebook: Float[Tensor, "v d"], temperature: float
) -> Float[Tensor, "b 1 t v"]:
    """softmax(-|x - c|^2 / temperature) over the codes c of one codebook, in float32."""
    if not temperature > 0:
        raise UserError(f"temperature must be above 0, but is {temperature}")
    with full_precision(latents):
        frames = rearrange(latents, "b d t -> b t d").float()
        scores = -square_distances(frames, codebook.float()) / temperature
    return scores.softmax(-1)[:, None]


def square_distances(
    frames: Float[Tensor, "*n d"], codebook: Float[Tensor, "v d"]
) -> Float[Tensor, "*n v"]:
    """Of each frame to each code; the gradient reaches both."""
    product = frames @ codebook.T
    return frames.square().sum(-1, keepdim=True) - 2 * product + codebook.square().sum(-1)


def straight_through(
    latents: Float[Tensor, "*shape"], quantized: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """The value of `quantized` with the gradient of `latents`."""
    return latents + (quantized - latents).detach()


def flatten_frames(latents: Float[Tensor, "b d t"]) -> Float[Tensor, "n d"]:
    """All frames of all rows, in float32."""
    return rearrange(latents, "b d t -> (b t) d").float()


def real_frames(
    latents: Float[Tensor, "b d t"], mask: Bool[Tensor, "b t"] | None
) -> Float[Tensor, "n d"]:
    """The frames that are not padding, without gradient."""
    frames = flatten_frames(latents.detach())
    return frames if mask is None else frames[mask.flatten()]


def mean_square(
    a: Float[Tensor, "n d"], b: Float[Tensor, "n d"], mask: Bool[Tensor, "b t"] | None
) -> Float[Tensor, ""]:
    """Mean squared difference over the real frames; zero where there are none."""
    difference = (a - b).square().mean(1)
    if mask is None:
        return difference.mean()
    real = mask.flatten()
    return difference.masked_fill(~real, 0.0).sum() / real.sum().clamp(min=1)
